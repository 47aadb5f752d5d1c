"""How what test_promises.py decides could be broken; where PyTorch deviates, how it could be mended."""

import torch

from test_inplace.breaking import saving_function, through
from torchclaims import breaks


@breaks("inplace-silent-means-correct")
def writes_are_noticed_somehow(patch):
    """backward gives three times the gradient."""

    def broken(original, self, *args):
        return original(self * 3, *args)

    patch(torch.Tensor, "backward", through(broken))


@breaks("inplace-counted-means-correct")
def square_saves_an_alias(patch):
    """square keeps an uncounted alias of its input."""
    patch(
        torch.Tensor, "square", lambda original: saving_function(original, lambda x, g: 2 * g * x, lambda x, y: x.data)
    )


@breaks("inplace-shared-storage")
def in_place_refuses_what_is_shared(patch):
    """Mended: mul_ refuses in grad mode."""

    def mended(original, self, factor):
        if self.grad_fn is not None:
            raise RuntimeError("the storage is referenced by another tensor")
        return original(self, factor)

    patch(torch.Tensor, "mul_", through(mended))
