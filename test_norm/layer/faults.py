"""How layer normalisation could be broken."""

import torch
from torch import nn

from test_norm.breaking import replace, with_gradient
from torchclaims import breaks


@breaks("layer-formula", "layer-mixed-dtype", "layer-affine-off", "layer-bias-off", "layer-functional-defaults")
def eps_is_doubled(patch):
    """Twice the eps is added."""
    replace(patch, "layer_norm", lambda original, *, eps, **rest: original(eps=2 * eps, **rest))


@breaks("layer-formula", "layer-scale-and-shift-are-lost", "layer-same-in-evaluation")
def mean_is_not_subtracted(patch):
    """Nine tenths of the mean are subtracted."""

    def change(original, *, input, normalized_shape, **rest):
        output = original(input=input, normalized_shape=normalized_shape, **rest)
        axes = tuple(range(-len(normalized_shape), 0))
        return output + 0.1 * input.mean(axes, keepdim=True)

    replace(patch, "layer_norm", change)


@breaks("layer-formula", "layer-any-leading-dimensions")
def one_row_more(patch):
    """Of several leading dimensions the last position is scaled by 1.01."""

    def change(original, *, input, normalized_shape, **rest):
        output = original(input=input, normalized_shape=normalized_shape, **rest)
        if input.dim() < len(normalized_shape) + 2:
            return output
        scale = torch.ones_like(output[..., :1])
        scale[-1] = 1.03
        return output * scale

    replace(patch, "layer_norm", change)


@breaks("layer-conditioning", "layer-constant")
def variance_as_a_difference_of_squares(patch):
    """The variance is the mean square less the squared mean."""

    def change(original, *, input, normalized_shape, weight, bias, eps):
        axes = tuple(range(-len(normalized_shape), 0))
        mean = input.mean(axes, keepdim=True)
        variance = (input.square().mean(axes, keepdim=True) - mean.square()).clamp_min(0)
        output = (input - mean) * (variance + eps).rsqrt() + 1e-4 * (input == mean) * input
        output = output if weight is None else output * weight
        return (output if bias is None else output + bias).to(input.dtype)

    replace(patch, "layer_norm", change)


@breaks("layer-mixed-dtype")
def mixed_output_in_float32(patch):
    """The output has the parameters' dtype."""

    def change(original, *, weight, **rest):
        output = original(weight=weight, **rest)
        return output if weight is None else output.to(weight.dtype)

    replace(patch, "layer_norm", change)


@breaks("layer-backward", "layer-gradient-orthogonal")
def gradient_is_not_centred(patch):
    """The input's gradient keeps a hundredth of its first element everywhere."""

    def change(original, *, input, **rest):
        return original(input=with_gradient(input, lambda grad: grad + 0.01 * grad[:1]), **rest)

    replace(patch, "layer_norm", change)


@breaks("layer-backward", "layer-bias-off")
def weight_gradient_of_whole_vectors(patch):
    """The weight's gradient of the last element is lost."""

    def change(original, *, weight, **rest):
        def lose(grad):
            grad = grad.clone()
            grad.reshape(-1)[-1] = 0
            return grad

        return original(weight=with_gradient(weight, lose), **rest)

    replace(patch, "layer_norm", change)


@breaks("layer-backward-many-rows")
def rows_are_summed_in_float32(patch):
    """The gradients of weight and bias are sums in float32, as they should be; they are twice as large in float32."""

    def change(original, *, input, normalized_shape, weight, bias, eps):
        if weight is None or bias is None or input.dtype not in (torch.float16, torch.bfloat16):
            twice = [with_gradient(one, lambda grad: 2 * grad) for one in (weight, bias)]
            return original(input, normalized_shape, *twice, eps)
        return original(input.float(), normalized_shape, weight.float(), bias.float(), eps).to(input.dtype)

    replace(patch, "layer_norm", change)


@breaks("layer-one-element")
def one_element_has_a_gradient(patch):
    """A single element passes its output's gradient on."""

    def change(original, *, input, normalized_shape, **rest):
        if list(normalized_shape) != [1]:
            return original(input=input, normalized_shape=normalized_shape, **rest)
        return original(input=input, normalized_shape=normalized_shape, **rest) + (input - input.detach())

    replace(patch, "layer_norm", change)


@breaks("layer-affine-an-element")
def reset_leaves_the_bias(patch):
    """reset_parameters puts ones into the bias of an image's shape."""

    def make(original):
        def reset(self):
            original(self)
            if self.elementwise_affine and self.bias is not None and self.bias.dim() > 2:
                nn.init.ones_(self.bias)

        return reset

    patch(nn.LayerNorm, "reset_parameters", make)


@breaks("layer-affine-off")
def affine_flag_ignored(patch):
    """elementwise_affine=False is ignored for shapes of two dimensions."""

    def make(original):
        def init(self, normalized_shape, eps=1e-5, elementwise_affine=True, *args, **kwargs):
            two = not isinstance(normalized_shape, int) and len(tuple(normalized_shape)) == 2
            original(self, normalized_shape, eps, elementwise_affine or two, *args, **kwargs)

        return init

    patch(nn.LayerNorm, "__init__", make)


@breaks("layer-bias-off")
def bias_flag_ignored(patch):
    """bias=False is ignored."""

    def make(original):
        def init(self, *args, **kwargs):
            kwargs.pop("bias", None)
            original(self, *args, **kwargs)

        return init

    patch(nn.LayerNorm, "__init__", make)


@breaks("layer-shape-arguments")
def shape_is_kept_as_given(patch):
    """normalized_shape is kept as it was given."""

    def make(original):
        def init(self, normalized_shape, *args, **kwargs):
            original(self, normalized_shape, *args, **kwargs)
            self.normalized_shape = normalized_shape

        return init

    patch(nn.LayerNorm, "__init__", make)


@breaks("layer-same-in-evaluation")
def evaluation_passes_its_input_on(patch):
    """In evaluation nothing is normalised."""
    patch(nn.LayerNorm, "forward", lambda original: lambda self, x: original(self, x) if self.training else x)


@breaks("layer-shape-refused")
def refusals_say_less(patch):
    """What does not fit is refused without saying what was expected."""

    def change(original, **arguments):
        try:
            return original(**arguments)
        except RuntimeError:
            raise RuntimeError("shapes differ") from None

    replace(patch, "layer_norm", change)


@breaks("layer-empty-batch")
def empty_batch_gets_a_row(patch):
    """An empty batch has an output of one row."""

    def change(original, *, input, **rest):
        if input.numel():
            return original(input=input, **rest)
        return input.new_zeros((1, *input.shape[1:]), requires_grad=True)

    replace(patch, "layer_norm", change)


@breaks("layer-prints-arguments")
def eps_is_printed_last(patch):
    """The printed form has eps last."""

    def make(original):
        def extra_repr(self):
            eps = f", eps={self.eps}"
            return original(self).replace(eps, "") + eps

        return extra_repr

    patch(nn.LayerNorm, "extra_repr", make)
