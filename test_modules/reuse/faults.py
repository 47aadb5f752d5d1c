"""How the reuse of layers, and what the article's network rests on, could be broken."""

import weakref

import torch
import torch.nn.functional as F
from torch import nn

from torchclaims import breaks


@breaks("reuse-size-unchanged", "reuse-bn-entries")
def normalisation_keeps_its_input_as_a_buffer(patch):
    """BatchNorm2d keeps the mean of each input that it was called with as one more buffer."""

    def broken(original):
        def forward(self, x):
            self.register_buffer(f"last_{int(self.num_batches_tracked)}", x.detach().mean())
            return original(self, x)

        return forward

    patch(nn.BatchNorm2d, "forward", broken)


@breaks("reuse-size-unchanged", "reuse-relu-stateless")
def activation_has_a_buffer(patch):
    """ReLU registers its threshold as a buffer."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.register_buffer("threshold", torch.zeros(()))

        return __init__

    patch(nn.ReLU, "__init__", broken)


@breaks("reuse-bn-entries")
def counter_is_not_persistent(patch):
    """num_batches_tracked is a buffer that state_dict leaves out."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.register_buffer("num_batches_tracked", self.num_batches_tracked, persistent=False)

        return __init__

    patch(nn.BatchNorm2d, "__init__", broken)


@breaks("reuse-structure-static")
def print_shows_the_batches_seen(patch):
    """BatchNorm2d prints how many batches it has seen."""

    def broken(original):
        return lambda self: f"{original(self)}, num_batches_tracked={int(self.num_batches_tracked)}"

    patch(nn.BatchNorm2d, "extra_repr", broken)


@breaks("reuse-structure-static")
def print_leaves_out_what_has_no_state(patch):
    """print leaves out children without parameters."""

    def broken(original):
        def representation(self):
            lines = original(self).splitlines()
            return "\n".join(line for line in lines if "ReLU" not in line)

        return representation

    patch(nn.Module, "__repr__", broken)


@breaks("reuse-keys-index-children", "reuse-dataparallel-prefix")
def containers_count_from_one(patch):
    """Sequential numbers its children from one."""

    def broken(original):
        def __init__(self, *modules):
            original(self)
            for number, module in enumerate(modules, start=1):
                self.add_module(str(number), module)

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("reuse-dataparallel-prefix")
def data_parallel_hides_its_prefix(patch):
    """DataParallel gives the entries of the module that it holds."""

    def broken(original):
        return lambda self, *args, **kwargs: self.module.state_dict(*args, **kwargs)

    patch(nn.DataParallel, "state_dict", broken)


@breaks("reuse-new-layer-counts")
def equal_modules_are_interned(patch):
    """Of two modules that print alike only one is registered, under both names."""

    def broken(original):
        def __setattr__(self, name, value):
            if isinstance(value, nn.Module):
                value = next((one for one in self.children() if repr(one) == repr(value)), value)
            original(self, name, value)

        return __setattr__

    patch(nn.Module, "__setattr__", broken)


@breaks("reuse-output-changes", "reuse-runs-each-time", "reuse-flops", "reuse-bn-updates-each-time")
def own_output_passes_through(patch):
    """A module that is called with its own last output gives it back."""
    last = weakref.WeakKeyDictionary()

    def broken(original):
        def call(self, *args, **kwargs):
            if args and args[0] is last.get(self, lambda: None)():
                return args[0]
            output = original(self, *args, **kwargs)
            last[self] = weakref.ref(output)
            return output

        return call

    patch(nn.Module, "__call__", broken)


@breaks("reuse-runs-each-time")
def hooks_fire_at_the_first_use_only(patch):
    """A forward hook fires at the first call and not again."""

    def broken(original):
        def register_forward_hook(self, hook, **kwargs):
            fired = []

            def once(*args):
                if not fired:
                    fired.append(True)
                    return hook(*args)
                return None

            return original(self, once, **kwargs)

        return register_forward_hook

    patch(nn.Module, "register_forward_hook", broken)


@breaks("reuse-bn-updates-each-time")
def statistics_move_every_other_time(patch):
    """The running mean moves by the input of the first use of two, twice as far."""

    def broken(original):
        def batch_norm(x, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
            if training and mean.any():
                return original(x, mean.clone(), variance, weight, bias, training, momentum, eps)
            return original(x, mean, variance, weight, bias, training, momentum, eps)

        return batch_norm

    patch(F, "batch_norm", broken)


@breaks("reuse-bn-updates-each-time")
def variance_is_biased_in_later_updates(patch):
    """Updates of the running variance after the first take the biased variance."""

    def broken(original):
        def batch_norm(x, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
            first = variance is None or not mean.any()
            before = None if first else variance.clone()
            output = original(x, mean, variance, weight, bias, training, momentum, eps)
            if training and not first:
                count = x.numel() // x.size(1)
                moved = variance - (1 - momentum) * before
                variance.copy_((1 - momentum) * before + moved * (count - 1) / count)
            return output

        return batch_norm

    patch(F, "batch_norm", broken)


@breaks("reuse-bn-updates-each-time")
def counter_moves_in_evaluation(patch):
    """num_batches_tracked counts batches in evaluation too."""

    def broken(original):
        def forward(self, x):
            if not self.training:
                self.num_batches_tracked.add_(1)
            return original(self, x)

        return forward

    patch(nn.BatchNorm2d, "forward", broken)


def _used_before(weight):
    """Whether ``weight`` comes in for the second, fourth, ... time."""
    weight.used = not getattr(weight, "used", False)
    return not weight.used


@breaks("reuse-output-changes")
def second_use_takes_the_transposed_weight(patch):
    """The second use of a weight takes it transposed, as a cached layout of the wrong order would."""

    def broken(original):
        def linear(x, weight, bias=None):
            square = weight.size(0) == weight.size(1)
            return original(x, weight.t() if _used_before(weight) and square else weight, bias)

        return linear

    patch(F, "linear", broken)


@breaks("reuse-grads-add", "reuse-grads-tied-untied")
def second_use_gives_no_gradient(patch):
    """Only the first use of a weight adds to its gradient."""

    def broken(original):
        def operation(x, weight, bias=None, *args, **kwargs):
            return original(x, weight.detach() if _used_before(weight) else weight, bias, *args, **kwargs)

        return operation

    patch(F, "linear", broken)
    patch(F, "conv2d", broken)


@breaks("reuse-grads-add", "reuse-grads-tied-untied")
def gradients_of_uses_are_averaged(patch):
    """The gradient of a weight is the mean over its uses, not the sum."""

    def broken(original):
        def operation(x, weight, bias=None, *args, **kwargs):
            weight.uses = getattr(weight, "uses", 0) + 1
            if weight.uses == 1 and weight.requires_grad:
                weight.register_hook(lambda grad: grad / weight.uses)
            return original(x, weight, bias, *args, **kwargs)

        return operation

    patch(F, "linear", broken)
    patch(F, "conv2d", broken)


@breaks("reuse-optimizer-once", "reuse-alias-parameters-once")
def parameters_come_by_name(patch):
    """parameters() and named_parameters() yield a shared parameter under each of its names."""

    def broken(original):
        def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
            return original(self, prefix, recurse, remove_duplicate=False)

        return named_parameters

    patch(nn.Module, "named_parameters", broken)


@breaks("reuse-optimizer-once")
def large_gradients_step_twice(patch):
    """SGD steps twice, on the moved value, where a gradient is large."""

    def broken(original):
        def step(self, *args, **kwargs):
            original(self, *args, **kwargs)
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad.abs().max() > 1:
                        parameter.data.sub_(parameter.grad, alpha=group["lr"])

        return step

    patch(torch.optim.SGD, "step", broken)


@breaks("reuse-alias-parameters-once")
def last_name_counts(patch):
    """named_modules gives a module that has two names under the last of them."""

    def broken(original):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            if not remove_duplicate:
                return original(self, memo, prefix, False)
            last = {module: name for name, module in original(self, memo, prefix, False)}
            return iter([(name, module) for module, name in last.items()])

        return named_modules

    patch(nn.Module, "named_modules", broken)


@breaks("reuse-alias-two-entries")
def entries_come_once(patch):
    """state_dict leaves out an entry whose tensor it has already."""

    def broken(original):
        def state_dict(self, *args, **kwargs):
            entries = original(self, *args, **kwargs)
            seen = set()
            for name in [name for name in entries if name.endswith(("weight", "bias"))]:
                if entries[name].data_ptr() in seen:
                    del entries[name]
                else:
                    seen.add(entries[name].data_ptr())
            return entries

        return state_dict

    patch(nn.Module, "state_dict", broken)


@breaks("reuse-alias-two-entries")
def saving_forgets_sharing(patch):
    """torch.save writes each entry on its own, also those that share a storage."""

    def broken(original):
        def save(entries, file, *args, **kwargs):
            original({name: entry.clone() for name, entry in entries.items()}, file, *args, **kwargs)

        return save

    patch(torch, "save", broken)


@breaks("reuse-channels-match", "reuse-nhwc-refused")
def further_channels_are_ignored(patch):
    """conv2d takes the first channels of an input that has too many."""

    def broken(original):
        def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            return original(x[:, : weight.size(1) * groups], weight, bias, stride, padding, dilation, groups)

        return conv2d

    patch(F, "conv2d", broken)


@breaks("reuse-nhwc-refused")
def channels_last_are_moved(patch):
    """Conv2d moves the last dimension to the front where it is the one that matches."""

    def broken(original):
        def forward(self, x):
            if x.size(1) != self.in_channels == x.size(-1):
                x = x.movedim(-1, 1)
            return original(self, x)

        return forward

    patch(nn.Conv2d, "forward", broken)


@breaks("reuse-block-shapes")
def output_channels_come_last(patch):
    """Conv2d gives (N, H, W, C)."""

    def broken(original):
        return lambda self, x: original(self, x).movedim(1, -1)

    patch(nn.Conv2d, "forward", broken)


@breaks("reuse-block-shapes")
def padding_is_lopsided(patch):
    """conv2d pads the height on one side only."""

    def broken(original):
        def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            output = original(x, weight, bias, stride, padding, dilation, groups)
            return output[:, :, 1:] if padding else output

        return conv2d

    patch(F, "conv2d", broken)


@breaks("reuse-conv-positional")
def padding_comes_before_stride(patch):
    """The fourth argument of Conv2d is the padding, the fifth the stride."""

    def broken(original):
        def __init__(self, in_channels, out_channels, kernel_size, *args, **kwargs):
            if len(args) > 1:
                args = (args[1], args[0], *args[2:])
            original(self, in_channels, out_channels, kernel_size, *args, **kwargs)

        return __init__

    patch(nn.Conv2d, "__init__", broken)


@breaks("reuse-conv-positional")
def stride_holds_for_the_height_only(patch):
    """conv2d moves by one along the width, whatever the stride."""

    def broken(original):
        def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
            return original(x, weight, bias, (stride[0], 1), padding, dilation, groups)

        return conv2d

    patch(F, "conv2d", broken)


@breaks("reuse-pool-stride-default")
def default_stride_is_one(patch):
    """Without a stride MaxPool2d moves its window by one."""

    def broken(original):
        def __init__(self, kernel_size, stride=None, *args, **kwargs):
            original(self, kernel_size, 1 if stride is None else stride, *args, **kwargs)

        return __init__

    patch(nn.MaxPool2d, "__init__", broken)


@breaks("reuse-pool-stride-default")
def default_stride_is_square(patch):
    """Without a stride MaxPool2d moves its window by the kernel's height in both directions."""

    def broken(original):
        def __init__(self, kernel_size, stride=None, *args, **kwargs):
            original(self, kernel_size, stride, *args, **kwargs)
            if stride is None and isinstance(kernel_size, tuple):
                self.stride = kernel_size[0]

        return __init__

    patch(nn.MaxPool2d, "__init__", broken)


@breaks("reuse-linear-fixes-size", "reuse-pool-stride-default")
def pooling_rounds_up(patch):
    """MaxPool2d keeps a window that is cut off by the edge, as with ceil_mode."""

    def broken(original):
        def __init__(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.ceil_mode = True

        return __init__

    patch(nn.MaxPool2d, "__init__", broken)


@breaks("reuse-linear-fixes-size")
def further_features_are_ignored(patch):
    """linear takes the first features of an input that has too many."""

    def broken(original):
        return lambda x, weight, bias=None: original(x[..., : weight.size(1)], weight, bias)

    patch(F, "linear", broken)


@breaks("reuse-view-flattens")
def view_copies(patch):
    """view gives a copy."""

    def broken(original):
        return lambda self, *args: original(self, *args).clone()

    patch(torch.Tensor, "view", broken)


@breaks("reuse-view-flattens")
def view_puts_channels_last(patch):
    """view flattens channels last."""

    def broken(original):
        def view(self, *size):
            if self.dim() == 4 and size == (self.size(0), -1):
                return self.permute(0, 2, 3, 1).reshape(*size)
            return original(self, *size)

        return view

    patch(torch.Tensor, "view", broken)


@breaks("reuse-view-needs-layout")
def view_copies_where_it_must(patch):
    """view copies where it cannot give a view, as reshape does."""

    def broken(original):
        return lambda self, *args: self.reshape(*args)

    patch(torch.Tensor, "view", broken)


@breaks("reuse-view-needs-layout")
def view_flattens_as_stored(patch):
    """view goes by the order in memory, whatever the strides say."""

    def broken(original):
        def view(self, *size):
            if size[-1] == -1 and not self.is_contiguous():
                return self.as_strided((self.size(0), self.numel() // self.size(0)), (self.stride(0), 1))
            return original(self, *size)

        return view

    patch(torch.Tensor, "view", broken)
