"""How what test_state.py decides could be broken."""

import copy

import torch
from torch import nn

from torchclaims import breaks


@breaks("module-submodule-converted")
def conversion_reaches_children_only(patch):
    """Conversion takes the module's own and its children's tensors, not theirs."""

    def shallow(original):
        def to(self, *args, **kwargs):
            deeper = [module for child in self.children() for module in child.modules() if module is not child]
            kept = [(one, one.data) for module in deeper for one in module.parameters(recurse=False)]
            original(self, *args, **kwargs)
            for parameter, data in kept:
                parameter.data = data
            return self

        return to

    patch(nn.Module, "to", shallow)


@breaks("module-submodule-converted")
def conversion_makes_new_parameters(patch):
    """A conversion that changes the dtype makes new Parameters."""

    def renewing(original):
        def to(self, *args, **kwargs):
            original(self, *args, **kwargs)
            for module in self.modules():
                for name, parameter in module._parameters.items():
                    module._parameters[name] = copy.copy(parameter)
            return self

        return to

    patch(nn.Module, "to", renewing)


@breaks("cast-plain-attr")
def plain_tensors_are_converted(patch):
    """Conversion also takes tensors that are plain attributes."""

    def taking(original):
        def to(self, *args, **kwargs):
            original(self, *args, **kwargs)
            for name, value in vars(self).items():
                if torch.is_tensor(value):
                    vars(self)[name] = value.to(*args, **kwargs)
            return self

        return to

    patch(nn.Module, "to", taking)


@breaks("mode-eval-train")
def mode_reaches_children_only(patch):
    """train() sets the module and its children, not theirs."""

    def shallow(original):
        def train(self, mode=True):
            self.training = mode
            for child in self.children():
                child.training = mode
            return self

        return train

    patch(nn.Module, "train", shallow)


@breaks("mode-eval-train")
def mode_returns_nothing(patch):
    """eval() returns None."""

    def silent(original):
        def eval(self):
            original(self)

        return eval

    patch(nn.Module, "eval", silent)


@breaks("mode-eval-train")
def mode_that_is_set_is_not_passed_on(patch):
    """train(mode) does nothing where the module itself is in that mode already."""

    def early(original):
        def train(self, mode=True):
            return self if self.training == mode else original(self, mode)

        return train

    patch(nn.Module, "train", early)


def _state_dict(change):
    def make(original):
        def state_dict(self, *args, **kwargs):
            return change(original(self, *args, **kwargs))

        return state_dict

    return make


@breaks("state-detached-alias")
def state_is_a_copy(patch):
    """state_dict copies."""

    def copying(state):
        for name, value in state.items():
            state[name] = value.clone()
        return state

    patch(nn.Module, "state_dict", _state_dict(copying))


@breaks("state-detached-alias")
def state_is_never_detached(patch):
    """state_dict gives the Parameters themselves in any case."""

    def live(original):
        def state_dict(self, *args, **kwargs):
            return original(self, *args, **{**kwargs, "keep_vars": True})

        return state_dict

    patch(nn.Module, "state_dict", live)


@breaks("load-strict-keys")
def nested_unexpected_keys_pass(patch):
    """load_state_dict drops keys of a child that the child does not know."""

    def dropping(original):
        def load_state_dict(self, state_dict, *args, **kwargs):
            known = self.state_dict()
            kept = {key: value for key, value in state_dict.items() if key in known or "." not in key}
            return original(self, kept, *args, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", dropping)


@breaks("load-strict-keys")
def buffers_may_be_missing(patch):
    """load_state_dict fills in buffers that are missing."""

    def filling(original):
        def load_state_dict(self, state_dict, *args, **kwargs):
            buffers = {name: value for name, value in self.named_buffers() if name in self.state_dict()}
            state = copy.copy(state_dict)
            state.update({name: value for name, value in buffers.items() if name not in state})
            return original(self, state, *args, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", filling)


@breaks("load-strict-keys")
def nonstrict_loads_nothing_where_keys_miss(patch):
    """strict=False returns the keys, but loads only where all match."""

    def reluctant(original):
        def load_state_dict(self, state_dict, strict=True, **kwargs):
            if not strict and state_dict.keys() != self.state_dict().keys():
                kept = {key: value.clone() for key, value in self.state_dict().items()}
                result = original(self, state_dict, strict, **kwargs)
                original(self, kept, **kwargs)
                return result
            return original(self, state_dict, strict, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", reluctant)


@breaks("load-copies")
def loading_takes_the_dtype_of_the_state(patch):
    """Loading lets a Parameter take over the loaded tensor."""

    def taking(original):
        def load_state_dict(self, state_dict, *args, **kwargs):
            result = original(self, state_dict, *args, **kwargs)
            for name, parameter in self.named_parameters():
                if name in state_dict:
                    parameter.data = state_dict[name].detach()
            return result

        return load_state_dict

    patch(nn.Module, "load_state_dict", taking)


@breaks("load-copies")
def loading_makes_new_parameters(patch):
    """Loading replaces the Parameters."""

    def replacing(original):
        def load_state_dict(self, *args, **kwargs):
            result = original(self, *args, **kwargs)
            for module in self.modules():
                for name, parameter in module._parameters.items():
                    module._parameters[name] = nn.Parameter(parameter.detach().clone())
            return result

        return load_state_dict

    patch(nn.Module, "load_state_dict", replacing)


@breaks("load-size-mismatch")
def nonstrict_loading_broadcasts(patch):
    """strict=False broadcasts a tensor of another size into the Parameter."""

    def broadcasting(original):
        def load_state_dict(self, state_dict, strict=True, **kwargs):
            if not strict:
                shapes = {name: value.shape for name, value in self.state_dict().items()}
                state_dict = {
                    name: value.expand(shapes[name]) if name in shapes else value for name, value in state_dict.items()
                }
            return original(self, state_dict, strict, **kwargs)

        return load_state_dict

    patch(nn.Module, "load_state_dict", broadcasting)


@breaks("load-size-mismatch")
def sizes_are_compared_by_their_elements(patch):
    """Loading takes a tensor that has as many elements as the Parameter."""

    def broken(original):
        def _load_from_state_dict(self, state, prefix, *args):
            own = {prefix + name: parameter for name, parameter in self._parameters.items() if parameter is not None}
            state = {
                key: value.reshape(own[key].shape) if key in own and own[key].numel() == value.numel() else value
                for key, value in state.items()
            }
            original(self, state, prefix, *args)

        return _load_from_state_dict

    patch(nn.Module, "_load_from_state_dict", broken)


@breaks("load-strict-keys")
def missing_keys_below_children_pass(patch):
    """load_state_dict reports no key that is missing below its children."""

    def broken(original):
        def _load_from_state_dict(self, state, prefix, metadata, strict, missing, *args):
            found = missing if prefix.count(".") < 2 else []
            original(self, state, prefix, metadata, strict, found, *args)

        return _load_from_state_dict

    patch(nn.Module, "_load_from_state_dict", broken)


@breaks("module-submodule-converted")
def modules_without_parameters_are_not_converted(patch):
    """Conversion passes over modules that have buffers only."""

    def broken(original):
        def _apply(self, fn, *args, **kwargs):
            has_any = any(True for _ in self.parameters())
            return original(self, fn, *args, **kwargs) if has_any else self

        return _apply

    patch(nn.Module, "_apply", broken)
