"""How lazy layers could be broken, or mended where they deviate."""

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter

from test_modules.parameters.faults_tensors import through
from torchclaims import breaks

CONVOLUTION = nn.LazyConv2d.__mro__[1]
NORM = nn.LazyBatchNorm2d.__mro__[1]


@breaks("lazy-becomes-regular")
def class_is_kept(patch):
    """A lazy convolution stays one."""

    def change(original, self, module, *args):
        original(self, module, *args)
        if isinstance(module, nn.Conv3d):
            module.__class__ = nn.LazyConv3d

    patch(LazyModuleMixin, "_infer_parameters", through(change))


@breaks("lazy-becomes-regular")
def channels_are_those_of_a_group(patch):
    """A transposed convolution notes the channels of one group."""

    def change(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        if self.transposed:
            self.in_channels //= self.groups

    patch(CONVOLUTION, "initialize_parameters", through(change))


@breaks("lazy-becomes-regular")
def parameters_are_replaced(patch):
    """The first call makes new Parameters."""

    def change(original, self, x):
        original(self, x)
        self.weight = nn.Parameter(self.weight.detach())

    patch(nn.LazyLinear, "initialize_parameters", through(change))


@breaks("lazy-initialised-as-regular", "lazy-initialised-last")
def initial_values_are_drawn_twice(patch):
    """LazyLinear draws its initial values twice."""

    def change(original, self, x):
        fresh = self.has_uninitialized_params()
        original(self, x)
        if fresh:
            self.reset_parameters()

    patch(nn.LazyLinear, "initialize_parameters", through(change))


@breaks("lazy-initialised-as-regular", "lazy-computes-as-regular")
def convolutions_are_left_uninitialised(patch):
    """A lazy convolution leaves its weights at one."""

    def change(original, self):
        if not self.has_uninitialized_params():
            nn.init.ones_(self.weight)

    patch(CONVOLUTION, "reset_parameters", through(change))


@breaks("lazy-computes-as-regular")
def first_call_does_not_count(patch):
    """The first call of a lazy normalisation is made in evaluation mode."""

    def change(original, self, module, *args):
        result = original(self, module, *args)
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked -= 1
        return result

    patch(NORM, "_infer_parameters", through(change))


@breaks("lazy-first-input")
def sizes_follow_the_input(patch):
    """A Linear takes on the size of any input."""

    def change(original, self, x):
        if x.shape[-1] != self.in_features and x.shape[-1] == 6:
            self.in_features = 6
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return original(self, x)

    patch(nn.Linear, "forward", through(change))


@breaks("lazy-options")
def bias_is_always_there(patch):
    """LazyLinear has a bias in any case."""

    def change(original, self, out_features, bias=True, **kwargs):
        original(self, out_features, True, **kwargs)

    patch(nn.LazyLinear, "__init__", through(change))


@breaks("lazy-options")
def dilation_is_lost(patch):
    """LazyConv2d ignores dilation."""

    def change(original, self, *args, dilation=1, **kwargs):
        original(self, *args, **kwargs)

    patch(nn.LazyConv2d, "__init__", through(change))


@breaks("lazy-conv-unbatched")
def channels_are_the_second_dimension(patch):
    """A lazy convolution takes the channels from the second dimension in any case."""

    def change(original, self, x):
        original(self, x)
        return x.shape[1] if x.dim() == 4 else original(self, x) if x.shape[0] != 3 else x.shape[1]

    patch(CONVOLUTION, "_get_in_channels", through(change))


@breaks("lazy-conv-refuses")
def weights_come_before_the_check(patch):
    """A lazy convolution makes its weight before it checks the groups."""

    def change(original, self, x, *args, **kwargs):
        if x.dim() == 4 and x.shape[1] % self.groups and self.has_uninitialized_params():
            self.weight.materialize((1,))
        original(self, x, *args, **kwargs) if x.dim() != 4 or not x.shape[1] % self.groups else _raise()

    patch(CONVOLUTION, "initialize_parameters", through(change))


def _raise():
    raise ValueError("in_channels must be divisible by groups")


@breaks("lazy-conv-refuses")
def layer_becomes_regular_before_it_refuses(patch):
    """A lazy convolution becomes the regular one before it looks at the dimensions."""

    def change(original, self, x):
        try:
            return original(self, x)
        except RuntimeError:
            self.__class__ = self.cls_to_become
            raise

    patch(CONVOLUTION, "_get_in_channels", through(change))


@breaks("lazy-instancenorm-unbatched", "lazy-norm-without-state")
def mended_norms(patch):
    """Mended: a lazy normalisation takes the channels where they are, whatever it has."""

    def change(original, self, x):
        unbatched = isinstance(self, nn.modules.instancenorm._InstanceNorm) and x.dim() == self._get_no_batch_dim()
        original(self, x.unsqueeze(0) if unbatched else x)
        self.num_features = x.shape[0 if unbatched else 1]

    patch(NORM, "initialize_parameters", through(change))


@breaks("lazy-instancenorm-defaults", "lazy-instancenorm-arguments")
def mended_instance_norms(patch):
    """Mended: lazy instance normalisations have the documented arguments."""

    def change(original, self, num_features=0, *, affine=False, track_running_stats=False, **kwargs):
        original(self, affine=affine, track_running_stats=track_running_stats, **kwargs)

    for rank in "123":
        patch(getattr(nn, f"LazyInstanceNorm{rank}d"), "__init__", through(change))


@breaks("lazy-state")
def uninitialised_tensors_are_not_saved(patch):
    """state_dict leaves out what is uninitialised."""

    def change(original, self, destination, prefix, keep_vars):
        original(self, destination, prefix, keep_vars)
        for key in [key for key, value in destination.items() if isinstance(value, UninitializedParameter)]:
            del destination[key]

    patch(LazyModuleMixin, "_save_to_state_dict", through(change))


@breaks("lazy-state")
def lazy_state_is_live(patch):
    """A lazy module's regular tensors are not detached."""

    def change(original, self, destination, prefix, keep_vars):
        original(self, destination, prefix, True)

    patch(LazyModuleMixin, "_save_to_state_dict", through(change))


@breaks("lazy-loads")
def loaded_values_are_drawn_anew(patch):
    """The first call initialises what was loaded."""

    def change(original, self, x):
        original(self, x)
        nn.Linear.reset_parameters(self)

    patch(nn.LazyLinear, "initialize_parameters", through(change))


@breaks("lazy-loads-sizes")
def mended_sizes(patch):
    """Mended: a layer that loaded a state takes its sizes from its weight."""

    def convolution(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.in_channels = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups

    def norm(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.num_features = len(self.weight)

    patch(CONVOLUTION, "initialize_parameters", through(convolution))
    patch(NORM, "initialize_parameters", through(norm))


@breaks("lazy-loads-uninitialised")
def uninitialised_states_are_materialised(patch):
    """Loading an uninitialised state makes empty parameters."""

    def change(original, self, state, prefix, *args):
        original(self, state, prefix, *args)
        for name, parameter in self._parameters.items():
            if isinstance(parameter, UninitializedParameter) and f"{prefix}{name}" in state:
                parameter.materialize((0,))

    patch(LazyModuleMixin, "_lazy_load_hook", through(change))


@breaks("lazy-mixin")
def keywords_are_lost(patch):
    """initialize_parameters gets the first argument only."""

    def change(original, self, module, args, *rest):
        return original(self, module, args[:1], *rest)

    patch(LazyModuleMixin, "_infer_parameters", through(change))


@breaks("lazy-mixin")
def hooks_stay(patch):
    """initialize_parameters is called at every call where no class is to become."""

    def change(original, self, module, args, *rest):
        original(self, module, args, *rest)
        if module.cls_to_become is None:
            module.calls.append("again")

    patch(LazyModuleMixin, "_infer_parameters", through(change))


@breaks("lazy-mixin-incomplete")
def incomplete_modules_go_on(patch):
    """A module whose buffers are not initialised counts as initialised."""

    def change(original, self):
        return any(isinstance(one, UninitializedParameter) for one in self._parameters.values())

    patch(LazyModuleMixin, "has_uninitialized_params", through(change))


@breaks("lazy-mixin-asks")
def children_are_asked_too(patch):
    """has_uninitialized_params looks into children."""

    def change(original, self):
        return any(torch.nn.parameter.is_lazy(one) for one in [*self.parameters(), *self.buffers()])

    patch(LazyModuleMixin, "has_uninitialized_params", through(change))


@breaks("lazy-mixin-asks")
def buffers_are_not_asked(patch):
    """has_uninitialized_params looks at parameters only."""

    def change(original, self):
        return any(isinstance(one, UninitializedParameter) for one in self._parameters.values())

    patch(LazyModuleMixin, "has_uninitialized_params", through(change))
