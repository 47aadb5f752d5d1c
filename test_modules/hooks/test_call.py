"""What test_modules/calls leaves open about forward hooks: changed inputs, and errors in always-called hooks."""

import warnings

import pytest
import torch
from torch import nn

from torchclaims import claim


def double_the_input(module, args, output):
    args[0].mul_(2)


@claim("hook-fwd-input-mutation")
@pytest.mark.parametrize(
    "layer", [nn.Tanh(), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.Tanh()), nn.Dropout(0.5)], ids=repr
)
def test_a_hook_changes_the_input_too_late(layer, cell):
    layer = cell.place(layer)
    x = cell.tensor([[1.0, 2.0]])
    state = torch.get_rng_state()
    expected = layer(x).tolist()
    torch.set_rng_state(state)
    with layer.register_forward_hook(double_the_input):
        output = layer(x)
    assert output.tolist() == expected
    assert x.tolist() == [[2, 4]]


SHARING = {
    "identity": nn.Identity,
    "flatten": nn.Flatten,
    "dropout in evaluation": lambda: nn.Dropout().eval(),
    "no layer": nn.Sequential,
}


@claim("hook-fwd-input-mutation-shared")
@pytest.mark.parametrize("case", SHARING)
def test_a_hook_changes_an_input_that_is_the_output(case, cell):
    layer = SHARING[case]()
    with layer.register_forward_hook(double_the_input):
        output = layer(cell.tensor([[1.0, 2.0]]))
    assert output.tolist() == [[1, 2]], f"expected [[1.0, 2.0]], seen {output.tolist()}"


class Failing(nn.Module):
    def forward(self, x, *, more=0):
        if x < 0:
            raise ValueError("negative")
        return x


@claim("hook-always-call-kwargs")
def test_always_called_hooks_receive_keyword_arguments():
    module, log = Failing(), []
    module.register_forward_hook(lambda *given: log.append(given), with_kwargs=True, always_call=True)
    with pytest.raises(ValueError, match="negative"):
        module(-1, more=2)
    assert log == [(module, (-1,), {"more": 2}, None)]


@claim("hook-always-call-silenced")
@pytest.mark.parametrize("with_kwargs", [False, True], ids=["", "with_kwargs"])
def test_errors_of_always_called_hooks_become_warnings(with_kwargs):
    def fail(*_):
        raise LookupError("from the hook")

    module, log = Failing(), []
    module.register_forward_hook(fail, always_call=True, with_kwargs=with_kwargs)
    module.register_forward_hook(lambda *given: log.append("next"), always_call=True)
    with (
        pytest.warns(UserWarning, match="silenced as another error was raised in forward: from the hook"),
        pytest.raises(ValueError, match="negative"),
    ):
        module(-1)
    assert log == ["next"]


@claim("hook-always-call-silenced")
def test_errors_of_always_called_hooks_after_forward_are_raised():
    def fail(*_):
        raise LookupError("from the hook")

    module, log = Failing(), []
    module.register_forward_hook(fail, always_call=True)
    module.register_forward_hook(lambda *given: log.append(given[-1]), always_call=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LookupError, match="from the hook"):
            module(1)
    assert log == [1]


@claim("hook-always-call-silenced")
def test_an_error_of_a_pre_hook_also_calls_them():
    def fail(*_):
        raise LookupError("from the pre hook")

    module, log = Failing(), []
    module.register_forward_pre_hook(fail)
    module.register_forward_hook(lambda *given: log.append(given[-1]), always_call=True)
    module.register_forward_hook(lambda *given: log.append("not always"))
    with pytest.raises(LookupError, match="from the pre hook"):
        module(1)
    assert log == [None]


@claim("hook-always-call-silenced")
def test_results_of_always_called_hooks_are_handed_on():
    module, seen = Failing(), []
    module.register_forward_hook(lambda *given: "rescued", always_call=True)
    module.register_forward_hook(lambda *given: None, always_call=True)
    module.register_forward_hook(lambda *given: seen.append(given[-1]), always_call=True)
    with pytest.raises(ValueError, match="negative"):
        module(-1)
    assert seen == ["rescued"]


@claim("hook-remove-options")
@pytest.mark.parametrize("register", ["register_forward_pre_hook", "register_forward_hook"])
def test_a_removed_hook_takes_its_options_along(register):
    module, log = Failing(), []
    options = {"with_kwargs": True, **({"always_call": True} if register == "register_forward_hook" else {})}
    handle = getattr(module, register)(lambda *given: log.append("removed"), **options)
    getattr(module, register)(lambda *given: log.append(len(given)))
    handle.remove()
    module(1)
    expected = [3 if register == "register_forward_hook" else 2]
    assert log == expected
    if register == "register_forward_hook":
        with pytest.raises(ValueError, match="negative"):
            module(-1)
        assert log == expected


@claim("hook-remove-options")
@pytest.mark.parametrize("register", ["register_forward_pre_hook", "register_forward_hook"])
def test_other_hooks_keep_their_options(register):
    module, log = Failing(), []
    options = {"with_kwargs": True, **({"always_call": True} if register == "register_forward_hook" else {})}
    handle = getattr(module, register)(lambda *given: None, **options)
    getattr(module, register)(lambda *given: log.append(len(given)), **options)
    handle.remove()
    module(1)
    expected = [4 if register == "register_forward_hook" else 3]
    assert log == expected
    if register == "register_forward_hook":
        with pytest.raises(ValueError, match="negative"):
            module(-1)
        assert log == expected * 2


@claim("hook-kwargs-replaced-seen")
def test_forward_hooks_see_what_pre_hooks_made(cell):
    module, log = Failing(), []
    module.register_forward_pre_hook(lambda module, args, kwargs: ((7,), {"more": 8}), with_kwargs=True)
    module.register_forward_pre_hook(lambda module, args, kwargs: log.append((args, kwargs)), with_kwargs=True)
    module.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    module.register_forward_hook(lambda module, args, output: log.append((args, output)))
    module.register_forward_hook(
        lambda module, args, kwargs, output: log.append((args, kwargs, output)), with_kwargs=True
    )
    assert module(1, more=2) == 8
    assert log == [((7,), {"more": 8}), ((8,), 8), ((8,), {"more": 8}, 8)]
