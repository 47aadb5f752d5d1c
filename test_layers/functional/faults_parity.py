"""How what test_parity.py decides could be broken."""

from torch import nn

from test_layers.functional.breaking import altered_module
from torchclaims import breaks


@breaks("func-parity")
def module_forgets_ceil_mode(patch):
    """nn.MaxPool2d does not hand ceil_mode on."""

    def alter(original, self, x):
        ceil_mode, self.ceil_mode = self.ceil_mode, False
        try:
            return original(self, x)
        finally:
            self.ceil_mode = ceil_mode

    altered_module(patch, nn.MaxPool2d, alter)


@breaks("func-parity")
def module_forgets_its_threshold(patch):
    """nn.Softplus does not hand its threshold on."""
    altered_module(patch, nn.Softplus, lambda original, self, x: nn.functional.softplus(x, self.beta))


@breaks("func-parity")
def module_draws_twice(patch):
    """nn.Dropout draws its mask in two steps, of which the second one counts."""

    def alter(original, self, x):
        original(self, x)
        return original(self, x)

    altered_module(patch, nn.Dropout, alter)


@breaks("func-parity")
def module_takes_another_epsilon(patch):
    """nn.LayerNorm takes the default eps whatever it was given."""
    altered_module(
        patch,
        nn.LayerNorm,
        lambda original, self, x: nn.functional.layer_norm(x, self.normalized_shape, self.weight, self.bias),
    )
