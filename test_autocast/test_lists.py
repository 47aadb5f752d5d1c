"""The op lists of the page, one operation a case."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from torchclaims import claim
from torchclaims.targets import from_numpy, to_numpy
from torchclaims.tolerance import assert_within, gamma, rounding_unit

BF16, F16, F32, F64 = torch.bfloat16, torch.float16, torch.float32, torch.float64


def values(*shape, positive=False):
    """The same numbers at each call, sixteenths that half precision holds."""
    numbers = (np.arange(int(np.prod(shape))) * 7 % 23 - 11).reshape(shape) / 16.0
    return from_numpy((np.abs(numbers) + 0.0625 if positive else numbers).astype(np.float32))


def square():
    """A symmetric positive definite matrix."""
    return values(4, 4) @ values(4, 4).T + 4 * torch.eye(4)


def zeros(*shape):
    return torch.zeros(shape, dtype=torch.int64)


IMAGE, VOLUME, MATRIX, STACK = (1, 2, 4, 4), (1, 2, 4, 4, 4), (4, 4), (2, 4, 4)

LOWER = {
    "conv1d": (F.conv1d, [values(1, 2, 5), values(2, 2, 3)]),
    "conv2d": (F.conv2d, [values(*IMAGE), values(3, 2, 3, 3)]),
    "conv3d": (lambda *a: F.conv3d(*a), [values(*VOLUME), values(2, 2, 2, 2, 2)]),
    "bmm": (lambda *a: torch.bmm(*a), [values(*STACK)] * 2),
    "mm": (torch.mm, [values(*MATRIX)] * 2),
    "linalg_vecdot": (torch.linalg.vecdot, [values(*MATRIX)] * 2),
    "baddbmm": (torch.baddbmm, [values(*STACK)] * 3),
    "addmm": (torch.addmm, [values(*MATRIX)] * 3),
    "addbmm": (lambda *a: torch.addbmm(*a), [values(*MATRIX), values(*STACK), values(*STACK)]),
    "linear": (lambda *a: F.linear(*a), [values(*MATRIX)] * 2),
    "linear with bias": (F.linear, [values(*MATRIX), values(*MATRIX), values(4)]),
    "matmul": (torch.matmul, [values(*MATRIX)] * 2),
    "the operator": (lambda a, b: a @ b, [values(*MATRIX)] * 2),
    "the method": (lambda a, b: a.mm(b), [values(*MATRIX)] * 2),
    "conv_tbc": (torch.conv_tbc, [values(5, 2, 3), values(2, 3, 4), values(4)]),
    "conv_transpose1d": (F.conv_transpose1d, [values(1, 2, 5), values(2, 2, 3)]),
    "conv_transpose2d": (F.conv_transpose2d, [values(*IMAGE), values(2, 3, 3, 3)]),
    "conv_transpose3d": (F.conv_transpose3d, [values(*VOLUME), values(2, 2, 2, 2, 2)]),
    "prelu": (F.prelu, [values(*MATRIX), values(1)]),
    "scaled_dot_product_attention": (F.scaled_dot_product_attention, [values(*STACK)] * 3),
}


@claim("amp-lower")
@pytest.mark.parametrize("name", LOWER)
@pytest.mark.parametrize("dtype", [BF16, F16], ids=["bfloat16", "float16"])
def test_lower_precision(name, dtype):
    function, inputs = LOWER[name]
    with torch.autocast("cpu", dtype=dtype):
        seen = function(*inputs)
        mixed = function(inputs[0].to(dtype), *inputs[1:])
    assert (seen.dtype, mixed.dtype) == (dtype, dtype)
    assert function(*inputs).dtype == F32
    # Inputs are exact in half precision: products are rounded once each, at most 64 of them, none above two.
    bound = gamma(4, rounding_unit(dtype)) * (np.abs(to_numpy(function(*inputs))) + 1)
    assert_within(seen, to_numpy(function(*inputs)), bound, what=name, because="a few roundings to half precision")


FULL = {
    "avg_pool3d": (lambda v: F.avg_pool3d(v, 2), [values(*VOLUME)]),
    "binary_cross_entropy": (F.binary_cross_entropy, [values(4, 4, positive=True)] * 2),
    "grid_sampler": (lambda i, g: torch.grid_sampler(i, g, 0, 0, False), [values(*IMAGE), values(1, 2, 2, 2)]),
    "grid_sampler_2d": (lambda i, g: torch.grid_sampler_2d(i, g, 0, 0, False), [values(*IMAGE), values(1, 2, 2, 2)]),
    "grid_sampler_3d": (
        lambda i, g: torch.grid_sampler_3d(i, g, 0, 0, False),
        [values(*VOLUME), values(1, 2, 2, 2, 3)],
    ),
    "polar": (torch.polar, [values(*MATRIX)] * 2),
    "prod": (torch.prod, [values(*MATRIX)]),
    "prod over one": (lambda a: torch.prod(a, 0), [values(*MATRIX)]),
    "quantile": (lambda a: torch.quantile(a, 0.5), [values(*MATRIX)]),
    "nanquantile": (lambda a: torch.nanquantile(a, 0.5), [values(*MATRIX)]),
    "stft": (lambda a: torch.stft(a, 4, return_complex=True, window=torch.ones(4)), [values(16)]),
    "cdist": (torch.cdist, [values(*MATRIX)] * 2),
    "trace": (torch.trace, [values(*MATRIX)]),
    "view_as_complex": (torch.view_as_complex, [values(3, 2)]),
    "cholesky_inverse": (torch.cholesky_inverse, [square()]),
    "cholesky_solve": (torch.cholesky_solve, [values(*MATRIX), square()]),
    "inverse": (torch.inverse, [square()]),
    "orgqr": (torch.orgqr, [values(*MATRIX), values(4)]),
    "ormqr": (torch.ormqr, [values(*MATRIX), values(4), values(*MATRIX)]),
    "pinverse": (torch.pinverse, [values(*MATRIX)]),
    "max_pool3d": (lambda v: F.max_pool3d(v, 2), [values(*VOLUME)]),
    "max_unpool2d": (lambda v: F.max_unpool2d(v, zeros(1, 2, 2, 2), 2), [values(1, 2, 2, 2)]),
    "max_unpool3d": (lambda v: F.max_unpool3d(v, zeros(1, 2, 2, 2, 2), 2), [values(1, 2, 2, 2, 2)]),
    "adaptive_avg_pool3d": (lambda v: F.adaptive_avg_pool3d(v, 2), [values(*VOLUME)]),
    "reflection_pad1d": (lambda v: F.pad(v, (1, 1), "reflect"), [values(*STACK)]),
    "reflection_pad2d": (lambda v: F.pad(v, (1, 1, 1, 1), "reflect"), [values(*IMAGE)]),
    "replication_pad1d": (lambda v: F.pad(v, (1, 1), "replicate"), [values(*STACK)]),
    "replication_pad2d": (lambda v: F.pad(v, (1, 1, 1, 1), "replicate"), [values(*IMAGE)]),
    "replication_pad3d": (lambda v: F.pad(v, (1,) * 6, "replicate"), [values(*VOLUME)]),
    "mse_loss": (F.mse_loss, [values(*MATRIX), values(4, 4, positive=True)]),
    "cosine_embedding_loss": (lambda a, b: F.cosine_embedding_loss(a, b, torch.ones(4)), [values(*MATRIX)] * 2),
    "nll_loss": (lambda a: F.nll_loss(a, zeros(4)), [values(*MATRIX)]),
    "nll_loss2d": (lambda a: F.nll_loss(a, zeros(1, 4, 4)), [values(*IMAGE)]),
    "hinge_embedding_loss": (lambda a: F.hinge_embedding_loss(a, torch.ones(4, 4)), [values(*MATRIX)]),
    "poisson_nll_loss": (F.poisson_nll_loss, [values(*MATRIX), values(4, 4, positive=True)]),
    "cross_entropy_loss": (lambda a: F.cross_entropy(a, zeros(4)), [values(*MATRIX)]),
    "l1_loss": (F.l1_loss, [values(*MATRIX), values(4, 4, positive=True)]),
    "huber_loss": (F.huber_loss, [values(*MATRIX), values(4, 4, positive=True)]),
    "margin_ranking_loss": (lambda a, b: F.margin_ranking_loss(a, b, torch.ones(4)), [values(4), values(4)]),
    "soft_margin_loss": (lambda a: F.soft_margin_loss(a, torch.ones(4, 4)), [values(*MATRIX)]),
    "triplet_margin_loss": (F.triplet_margin_loss, [values(*MATRIX)] * 3),
    "multi_margin_loss": (lambda a: F.multi_margin_loss(a, zeros(4)), [values(*MATRIX)]),
    "ctc_loss": (
        lambda a: F.ctc_loss(a, zeros(2, 2) + 1, torch.tensor([4, 4]), torch.tensor([2, 2])),
        [values(4, 2, 3).log_softmax(2)],
    ),
    "kl_div": (lambda a, b: F.kl_div(a, b, reduction="sum"), [values(*MATRIX), values(4, 4, positive=True)]),
    "multilabel_margin_loss": (lambda a: F.multilabel_margin_loss(a, zeros(4, 4)), [values(*MATRIX)]),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits,
        [values(*MATRIX), values(4, 4, positive=True)],
    ),
    **{
        f"fft_{name}": (getattr(torch.fft, name), [values(*MATRIX)])
        for name in (
            "fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn hfft ihfft".split()  # noqa: SIM905
        )
    },
    "linalg_cond": (torch.linalg.cond, [square()]),
    "linalg_solve": (torch.linalg.solve, [square(), values(*MATRIX)]),
    "linalg_cholesky": (torch.linalg.cholesky, [square()]),
    "linalg_svdvals": (torch.linalg.svdvals, [square()]),
    "linalg_eigvals": (torch.linalg.eigvals, [square()]),
    "linalg_eigvalsh": (torch.linalg.eigvalsh, [square()]),
    "linalg_inv": (torch.linalg.inv, [square()]),
    "linalg_householder_product": (torch.linalg.householder_product, [values(*MATRIX), values(4)]),
    "linalg_tensorinv": (lambda a: torch.linalg.tensorinv(a, ind=1), [square()]),
    "linalg_tensorsolve": (torch.linalg.tensorsolve, [square(), values(4)]),
    "fake_quantize_per_tensor_affine": (
        lambda a: torch.fake_quantize_per_tensor_affine(a, 0.1, 0, 0, 255),
        [values(*MATRIX)],
    ),
    "geqrf": (lambda a: torch.geqrf(a)[0], [values(*MATRIX)]),
    "svd": (lambda a: torch.svd(a)[1], [square()]),
    "fractional_max_pool2d": (lambda v: F.fractional_max_pool2d(v, 2, output_size=2), [values(*IMAGE)]),
    "fractional_max_pool3d": (lambda v: F.fractional_max_pool3d(v, 2, output_size=2), [values(*VOLUME)]),
    "adaptive_max_pool3d": (lambda v: F.adaptive_max_pool3d(v, 2), [values(*VOLUME)]),
    "linalg_qr": (lambda a: torch.linalg.qr(a)[0], [square()]),
    "linalg_cholesky_ex": (lambda a: torch.linalg.cholesky_ex(a)[0], [square()]),
    "linalg_svd": (lambda a: torch.linalg.svd(a)[1], [square()]),
    "linalg_eig": (lambda a: torch.linalg.eig(a)[0], [square()]),
    "linalg_eigh": (lambda a: torch.linalg.eigh(a)[0], [square()]),
    "linalg_lstsq": (lambda a, b: torch.linalg.lstsq(a, b)[0], [square(), values(*MATRIX)]),
    "linalg_inv_ex": (lambda a: torch.linalg.inv_ex(a)[0], [square()]),
}
REAL_OF = {torch.complex64: F32, torch.complex128: F64}


def real_dtype(tensor):
    return REAL_OF.get(tensor.dtype, tensor.dtype)


@claim("amp-float32")
@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("dtype", [BF16, F16], ids=["bfloat16", "float16"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of complex support, and of deprecated names
def test_single_precision(name, dtype):
    function, inputs = FULL[name]
    with torch.autocast("cpu", dtype=dtype):
        seen = function(*(one.to(dtype) for one in inputs))
        single = function(*inputs)
    assert (real_dtype(seen), real_dtype(single)) == (F32, F32)


UNLISTED = {
    "softmax": lambda x: F.softmax(x, 1),
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "relu": F.relu,
    "gelu": F.gelu,
    "sum": lambda x: x.sum(),
    "exp": torch.exp,
    "max_pool2d": lambda x: F.max_pool2d(x[None], 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x[None], 2),
    "zero pad": lambda x: F.pad(x, (1, 1)),
    "mul": lambda x: x * 2,
    "cosine_similarity": lambda x: F.cosine_similarity(x, x),
}


@claim("amp-unlisted")
@pytest.mark.parametrize("function", UNLISTED.values(), ids=UNLISTED)
def test_what_is_on_no_list(function):
    with torch.autocast("cpu"):
        assert [function(values(4, 4).to(dtype)).dtype for dtype in (BF16, F32, F64)] == [BF16, F32, F64]


@claim("amp-unlisted-smooth-l1")
def test_smooth_l1_loss():
    with torch.autocast("cpu"):
        seen = F.smooth_l1_loss(values(4, 4).to(BF16), values(4, 4).to(BF16)).dtype
    assert seen == BF16, f"expected torch.bfloat16, seen {seen}"


PROMOTING = {
    "cat": lambda a, b: torch.cat([a, b]),
    "stack": lambda a, b: torch.stack([a, b]),
    "index_copy": lambda a, b: torch.index_copy(a, 0, torch.tensor([1, 0, 3, 2]), b),
    "add": torch.add,
}


@claim("amp-promote")
@pytest.mark.parametrize("function", PROMOTING.values(), ids=PROMOTING)
@pytest.mark.parametrize(
    ("left", "right", "expected"), [(BF16, BF16, BF16), (BF16, F32, F32), (F32, BF16, F32), (F32, F32, F32)], ids=str
)
def test_promotion(function, left, right, expected):
    with torch.autocast("cpu"):
        seen = function(values(4, 4).to(left), values(4, 4).to(right))
    assert seen.dtype == expected
    assert_within(seen, to_numpy(function(values(4, 4), values(4, 4))), 0.0, what="result", because="exact sums")


@claim("amp-not-eligible")
def test_what_is_not_autocast():
    x = values(4, 4)
    with torch.autocast("cpu"):
        assert torch.mm(x.double(), x.double()).dtype == F64
        assert F.mse_loss(x.double(), x.double()).dtype == F64
        assert torch.mm(x.long(), x.long()).dtype == torch.int64
        assert x.clone().addmm_(x, x).dtype == F32
        out = torch.empty(4, 4)
        assert torch.mm(x, x, out=out) is out
        assert torch.prod(x.to(BF16), 0, dtype=BF16).dtype == BF16
        assert torch.prod(x, 0, dtype=F64).dtype == F64
    assert_within(out, to_numpy(x @ x), gamma(20, rounding_unit(F32)) * 4, what="out=", because="single precision")
