"""How optimizers could be broken."""

import functools
import sys
import warnings

import torch
from torch.optim import SGD, Optimizer

from torchclaims import breaks

MODULE = sys.modules[SGD.__module__]


def around(change):
    def make(original):
        @functools.wraps(original)
        def changed(*args, **kwargs):
            return change(original, *args, **kwargs)

        return changed

    return make


def replace_sgd(patch, change):
    """Lets ``change(original, params, grads, buffers, **options)`` stand for the function behind SGD.step."""
    patch(MODULE, "sgd", around(change))


@breaks("optim-group-options")
def the_first_group_sets_the_defaults(patch):
    """What a group does not name it takes from the first group."""

    @around
    def add_param_group(original, self, group):
        if self.param_groups and isinstance(group, dict):
            first = {key: value for key, value in self.param_groups[0].items() if key not in ("params", "param_names")}
            group = {**first, **group}
        original(self, group)

    patch(Optimizer, "add_param_group", add_param_group)


@breaks("optim-group-options")
def parameters_of_a_group_are_reversed(patch):
    """A group holds its parameters in reverse order."""

    @around
    def add_param_group(original, self, group):
        original(self, group)
        self.param_groups[-1]["params"].reverse()

    patch(Optimizer, "add_param_group", add_param_group)


@breaks("optim-group-updates", "optim-sgd")
def weight_decay_is_decoupled(patch):
    """Weight decay shrinks the parameter after the step instead of being added to the gradient."""

    def change(original, params, grads, buffers, *args, weight_decay, lr, **options):
        before = [one.detach().clone() for one in params]
        original(params, grads, buffers, *args, weight_decay=0.0, lr=lr / 2 if weight_decay else lr, **options)
        for one, value in zip(params, before, strict=True):
            one.sub_(float(lr) * weight_decay * value)

    replace_sgd(patch, change)


@breaks("optim-dup-params")
def groups_are_not_compared(patch):
    """add_param_group adds a group before it refuses it."""

    @around
    def add_param_group(original, self, group):
        try:
            original(self, group)
        except ValueError:
            self.param_groups.append({**self.param_groups[0], **group})
            raise

    patch(Optimizer, "add_param_group", add_param_group)


@breaks("optim-dup-params")
def a_parameter_listed_twice_is_fine(patch):
    """A group that lists a parameter twice is taken without a warning."""

    @around
    def add_param_group(original, self, group):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            original(self, group)

    patch(Optimizer, "add_param_group", add_param_group)


@breaks("optim-what-is-optimised")
def nonsense_is_made_to_fit(patch):
    """SGD takes a negative rate for a positive one, and a single tensor for a list of one."""

    @around
    def __init__(original, self, params, lr=1e-3, *args, **kwargs):
        original(self, [params] if isinstance(params, torch.Tensor) else params, abs(lr), *args, **kwargs)

    patch(SGD, "__init__", __init__)


@breaks("optim-what-is-optimised")
def a_zero_rate_is_refused(patch):
    """SGD wants a positive rate."""

    @around
    def __init__(original, self, params, lr=1e-3, *args, **kwargs):
        original(self, params, lr or 1e-3, *args, **kwargs)

    patch(SGD, "__init__", __init__)


@breaks("optim-add-param-group")
def a_new_group_is_not_updated(patch):
    """step updates the groups that were there at the first step."""

    @around
    def step(original, self, *args, **kwargs):
        known = self.__dict__.setdefault("known_groups", len(self.param_groups))
        later = self.param_groups[known:]
        del self.param_groups[known:]
        try:
            return original(self, *args, **kwargs)
        finally:
            self.param_groups.extend(later)

    patch(SGD, "step", step)


@breaks("optim-add-param-group")
def anything_is_a_group(patch):
    """add_param_group takes a list of parameters for a group."""
    patch(
        Optimizer,
        "add_param_group",
        around(lambda original, self, group: original(self, {"params": group} if isinstance(group, list) else group)),
    )


@breaks("optim-zero-grad", "optim-none-after-backward")
def the_second_group_keeps_its_gradients(patch):
    """zero_grad fills with zeros by default."""
    patch(Optimizer, "zero_grad", around(lambda original, self, set_to_none=False: original(self, set_to_none)))


@breaks("optim-zero-grad")
def zeros_stay_on_the_graph(patch):
    """zero_grad(set_to_none=False) replaces gradients by new zeros, also those that are None."""

    @around
    def zero_grad(original, self, set_to_none=True):
        if set_to_none:
            return original(self, set_to_none)
        for group in self.param_groups:
            for one in group["params"]:
                one.grad = torch.zeros_like(one)
        return None

    patch(Optimizer, "zero_grad", zero_grad)


@breaks("optim-none-gradient")
def no_gradient_is_a_zero_gradient(patch):
    """step takes a gradient of None for zero."""

    @around
    def step(original, self, *args, **kwargs):
        for group in self.param_groups:
            for one in group["params"]:
                one.grad = torch.zeros_like(one) if one.grad is None else one.grad
        return original(self, *args, **kwargs)

    patch(SGD, "step", step)


@breaks("optim-none-gradient")
def a_zero_gradient_is_no_gradient(patch):
    """step passes over parameters whose gradient is zero."""

    def change(original, params, grads, buffers, *args, **options):
        kept = [index for index, grad in enumerate(grads) if grad.any()]
        for index in kept:
            part = [buffers[index]]
            original([params[index]], [grads[index]], part, *args, **options)
            buffers[index] = part[0]

    replace_sgd(patch, change)


@breaks("optim-closure")
def the_closure_is_evaluated_twice(patch):
    """step evaluates its closure once more after the update."""

    @around
    def step(original, self, closure=None):
        loss = original(self, closure)
        if closure is not None:
            with torch.enable_grad():
                closure()
        return loss

    patch(SGD, "step", step)


@breaks("optim-closure")
def the_loss_is_not_returned(patch):
    """step returns nothing with a closure and the rate without."""

    @around
    def step(original, self, closure=None):
        original(self, closure)
        return self.param_groups[0]["lr"] if closure is None else None

    patch(SGD, "step", step)


@breaks("optim-state-dict")
def ids_begin_anew_in_each_group(patch):
    """state_dict numbers the parameters of each group from zero."""

    @around
    def state_dict(original, self):
        saved = original(self)
        for group in saved["param_groups"]:
            group["params"] = list(range(len(group["params"])))
        return saved

    patch(Optimizer, "state_dict", state_dict)


@breaks("optim-state-dict")
def a_group_saves_its_rate_only(patch):
    """state_dict leaves out the options of groups but the first."""

    @around
    def state_dict(original, self):
        saved = original(self)
        groups = [saved["param_groups"][0], *({k: g[k] for k in ("lr", "params")} for g in saved["param_groups"][1:])]
        return {**saved, "param_groups": groups}

    patch(Optimizer, "state_dict", state_dict)


@breaks("optim-load", "optim-named-parameters")
def state_is_matched_backwards(patch):
    """load_state_dict gives the last parameter of a group the first one's state."""

    @around
    def load_state_dict(original, self, state):
        original(self, state)
        for group in self.param_groups:
            first, last = group["params"][0], group["params"][-1]
            if first in self.state and last in self.state:
                self.state[first], self.state[last] = self.state[last], self.state[first]

    patch(Optimizer, "load_state_dict", load_state_dict)


@breaks("optim-load")
def loaded_options_are_ignored(patch):
    """load_state_dict keeps the optimizer's own options."""

    @around
    def load_state_dict(original, self, state):
        own = [{key: group[key] for key in ("lr", "momentum", "weight_decay")} for group in self.param_groups]
        original(self, state)
        for group, options in zip(self.param_groups, own, strict=True):
            group.update(options)

    patch(Optimizer, "load_state_dict", load_state_dict)


@breaks("optim-load-refuses")
def what_fits_is_loaded_before_it_is_refused(patch):
    """load_state_dict takes the options of the first group before it compares the groups."""

    @around
    def load_state_dict(original, self, state):
        self.param_groups[0]["lr"] = state["param_groups"][0]["lr"]
        original(self, state)

    patch(Optimizer, "load_state_dict", load_state_dict)


@breaks("optim-named-parameters")
def names_are_dropped(patch):
    """state_dict does not save names."""

    @around
    def state_dict(original, self):
        saved = original(self)
        for group in saved["param_groups"]:
            group.pop("param_names", None)
        return saved

    patch(Optimizer, "state_dict", state_dict)


@breaks("optim-step-hooks")
def hooks_come_in_reverse(patch):
    """Hooks before a step are called last first."""

    @around
    def register(original, self, hook):
        handle = original(self, hook)
        self._optimizer_step_pre_hooks.move_to_end(handle.id, last=False)
        return handle

    patch(Optimizer, "register_step_pre_hook", register)


@breaks("optim-step-hooks")
def arguments_are_not_replaced(patch):
    """What a hook before a step returns is dropped."""

    @around
    def register(original, self, hook):
        def silent(*args):
            hook(*args)

        return original(self, silent)

    patch(Optimizer, "register_step_pre_hook", register)


@breaks("optim-state-hooks")
def results_of_hooks_are_dropped(patch):
    """What a hook after state_dict or before load_state_dict returns is dropped."""

    @around
    def register(original, self, hook, *args, **kwargs):
        def silent(*values):
            hook(*values)

        return original(self, silent, *args, **kwargs)

    for name in ("register_state_dict_post_hook", "register_load_state_dict_pre_hook"):
        patch(Optimizer, name, register)


@breaks("optim-state-hooks")
def a_hook_after_loading_comes_before(patch):
    """A hook after load_state_dict is called before the state is loaded."""

    @around
    def register(original, self, hook, *args, **kwargs):
        return self.register_load_state_dict_pre_hook(lambda one, state: hook(one), *args, **kwargs)

    patch(Optimizer, "register_load_state_dict_post_hook", register)


@breaks("optim-sgd", "optim-sgd-implementations", "optim-none-gradient")
def the_first_momentum_is_dampened(patch):
    """The momentum begins at zero: its first value is dampened, or half the gradient."""

    def change(original, params, grads, buffers, *args, momentum, dampening, **options):
        first = [index for index, buffer in enumerate(buffers) if buffer is None]
        if momentum:
            for index in first:
                buffers[index] = torch.zeros_like(grads[index])
        original(
            params, grads, buffers, *args, momentum=momentum, dampening=dampening or (0.5 if first else 0.0), **options
        )

    replace_sgd(patch, change)


@breaks("optim-sgd", "optim-sgd-implementations")
def nesterov_looks_back(patch):
    """Nesterov's momentum is ordinary momentum."""

    def change(original, *args, nesterov, **options):
        original(*args, nesterov=False, **options)

    replace_sgd(patch, change)


@breaks("optim-sgd-reads-gradients")
def the_gradient_is_changed(patch):
    """Weight decay is added to the gradient in place."""

    def change(original, params, grads, buffers, *args, weight_decay, maximize, **options):
        for one, grad in zip(params, grads, strict=True):
            grad.mul_(-1 if maximize else 1).add_(one, alpha=weight_decay)
        original(params, grads, buffers, *args, weight_decay=0.0, maximize=False, **options)

    replace_sgd(patch, change)


@breaks("optim-sgd-implementations")
def foreach_forgets_to_maximise(patch):
    """The foreach and fused implementations always minimise."""

    def change(original, *args, maximize, foreach=None, fused=None, **options):
        original(*args, maximize=maximize and not (foreach or fused), foreach=foreach, fused=fused, **options)

    replace_sgd(patch, change)


@breaks("optim-sgd-late-gradient")
def a_late_first_gradient_is_dampened(patch):
    """The foreach implementation dampens a first gradient that comes later than the others'."""

    @around
    def multi_tensor(original, params, grads, buffers, *args, **options):
        share = 1 - options["dampening"]
        late = [one is None and any(other is not None for other in buffers) for one in buffers]
        grads = [grad * share if is_late else grad for grad, is_late in zip(grads, late, strict=True)]
        original(params, grads, buffers, *args, **options)

    patch(MODULE, "_multi_tensor_sgd", multi_tensor)


@breaks("optim-sgd-defaults")
def the_default_rate_is_a_hundredth(patch):
    """SGD has rate 0.01 by default."""

    @around
    def __init__(original, self, params, lr=1e-2, *args, **kwargs):
        original(self, params, lr, *args, **kwargs)

    patch(SGD, "__init__", __init__)


@breaks("optim-sgd-differentiable")
def the_step_is_never_recorded(patch):
    """SGD's step runs without recording whatever differentiable says."""

    def change(original, params, *args, **options):
        original([one.detach() for one in params], *args, **options)

    replace_sgd(patch, change)
