"""How lazy normalisations could be broken."""

from torch import nn
from torch.nn.modules.batchnorm import _LazyNormBase

from torchclaims import breaks


@breaks("lazy-norm-materialises")
def channels_are_the_last_dimension(patch):
    """After the first input the layer has one channel more in its description."""

    def make(original):
        def initialize(self, x):
            original(self, x)
            self.num_features = x.shape[-1]

        return initialize

    patch(_LazyNormBase, "initialize_parameters", make)


@breaks("lazy-norm-first-output")
def weight_starts_at_two(patch):
    """The first input sets the running mean, and counts as two."""

    def make(original):
        def initialize(self, x):
            original(self, x)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)

        return initialize

    patch(_LazyNormBase, "initialize_parameters", make)


@breaks("lazy-norm-arguments")
def momentum_is_a_hundredth(patch):
    """momentum is 0.01 by default."""

    def make(original):
        def init(self, eps=1e-5, momentum=0.01, *args, **kwargs):
            original(self, eps, momentum, *args, **kwargs)

        return init

    patch(_LazyNormBase, "__init__", make)


@breaks("lazy-norm-dimensions")
def refusals_say_less(patch):
    """An input that does not fit is refused without saying what was expected."""

    def make(original):
        def check(self, x):
            try:
                original(self, x)
            except ValueError:
                raise ValueError("no") from None

        return check

    for layer in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        patch(layer, "_check_input_dim", make)


@breaks("lazy-norm-bias-off")
def bias_flag_ignored(patch):
    """bias=False is ignored."""

    def make(original):
        def init(self, *args, **kwargs):
            kwargs.pop("bias", None)
            original(self, *args, **kwargs)

        return init

    patch(_LazyNormBase, "__init__", make)
