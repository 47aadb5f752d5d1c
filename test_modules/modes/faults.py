"""How what test_modes.py decides could be broken."""

import torch
from torch import nn

from torchclaims import breaks


@breaks("mode-train-bool")
def modes_are_converted(patch):
    """train() takes anything as a boolean."""
    patch(nn.Module, "train", lambda original: lambda self, mode=True: original(self, bool(mode)))


@breaks("mode-train-bool")
def a_wrong_mode_is_set_before_it_is_refused(patch):
    """train() sets the mode of the module itself before it refuses it."""

    def make(original):
        def train(self, mode=True):
            if not isinstance(mode, bool):
                self.training = mode
            return original(self, mode)

        return train

    patch(nn.Module, "train", make)


@breaks("mode-nograd-not-eval", "mode-only-certain-modules")
def no_gradients_means_evaluation(patch):
    """Without gradients dropout and batch normalisation work as in evaluation."""
    for kind in (nn.Dropout, nn.modules.batchnorm._BatchNorm):

        def make(original):
            def forward(self, x):
                training, self.training = self.training, torch.is_grad_enabled() and x.requires_grad
                try:
                    return original(self, x)
                finally:
                    self.training = training

            return forward

        patch(kind, "forward", make)


@breaks("mode-nograd-not-eval")
def inference_mode_tracks_nothing(patch):
    """Batch normalisation does not update its statistics in inference mode."""

    def make(original):
        def forward(self, x):
            state = {name: one.clone() for name, one in self.named_buffers()}
            output = original(self, x)
            if torch.is_inference_mode_enabled():
                for name, one in state.items():
                    getattr(self, name).copy_(one)
            return output

        return forward

    patch(nn.modules.batchnorm._BatchNorm, "forward", make)


@breaks("mode-only-certain-modules")
def linear_layers_have_a_mode(patch):
    """In evaluation Linear passes its input on."""
    patch(nn.Linear, "forward", lambda original: lambda self, x: original(self, x) if self.training else x)


@breaks("mode-no-parameters-touched")
def eval_freezes(patch):
    """eval() freezes, and train() unfreezes."""

    def make(original):
        return lambda self, mode=True: original(self, mode).requires_grad_(mode)

    patch(nn.Module, "train", make)


@breaks("mode-no-parameters-touched")
def modes_drop_gradients(patch):
    """train() and eval() drop the gradients."""
    patch(nn.Module, "train", lambda original: lambda self, mode=True: (self.zero_grad(), original(self, mode))[1])


@breaks("mode-overridden")
def modes_are_set_from_outside(patch):
    """train() sets the flag of all sub-Modules itself."""

    def make(original):
        def train(self, mode=True):
            for module in self.modules():
                module.training = mode
            return self

        return train

    patch(nn.Module, "train", make)


@breaks("mode-overridden")
def eval_goes_past_train(patch):
    """eval() sets the flags itself."""

    def make(original):
        def eval(self):
            for module in self.modules():
                module.training = False
            return self

        return eval

    patch(nn.Module, "eval", make)


def _requires_grad(patch, change):
    patch(
        nn.Module,
        "requires_grad_",
        lambda original: lambda self, requires_grad=True: change(original, self, requires_grad),
    )


@breaks("grad-freeze", "grad-unfreeze")
def only_direct_parameters_are_frozen(patch):
    """requires_grad_ leaves sub-Modules alone."""

    def change(original, module, requires_grad):
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(requires_grad)
        return module

    _requires_grad(patch, change)


@breaks("grad-freeze")
def freezing_drops_gradients(patch):
    """requires_grad_(False) drops the gradients."""

    def change(original, module, requires_grad):
        if not requires_grad:
            module.zero_grad()
        return original(module, requires_grad)

    _requires_grad(patch, change)


@breaks("grad-freeze")
def freezing_replaces_parameters(patch):
    """requires_grad_(False) puts new Parameters into the place of the old ones."""

    def change(original, module, requires_grad):
        for one in module.modules():
            for name, parameter in list(one._parameters.items()):
                if parameter is not None:
                    one._parameters[name] = nn.Parameter(parameter.detach(), requires_grad)
                    one._parameters[name].grad = parameter.grad
        return module

    _requires_grad(patch, change)


@breaks("grad-freeze")
def nothing_is_returned(patch):
    """requires_grad_ returns None."""
    _requires_grad(patch, lambda original, module, requires_grad: (original(module, requires_grad), None)[1])


@breaks("grad-freeze", "grad-unfreeze")
def a_module_is_as_its_last_parameter(patch):
    """requires_grad_ does nothing where the last parameter is as asked."""

    def change(original, module, requires_grad):
        parameters = list(module.parameters())
        if not parameters or parameters[-1].requires_grad == requires_grad:
            return module
        return original(module, requires_grad)

    _requires_grad(patch, change)


@breaks("grad-unfreeze")
def buffers_require_gradients_too(patch):
    """requires_grad_() applies to floating buffers too."""

    def change(original, module, requires_grad):
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.requires_grad_(requires_grad)
        return original(module, requires_grad)

    _requires_grad(patch, change)


@breaks("grad-unfreeze")
def unfreezing_a_part_unfreezes_weights_only(patch):
    """requires_grad_(True) passes over parameters of one dimension."""

    def change(original, module, requires_grad):
        for parameter in module.parameters():
            if parameter.dim() > 1 or not requires_grad:
                parameter.requires_grad_(requires_grad)
        return module

    _requires_grad(patch, change)


@breaks("grad-freeze-part")
def frozen_layers_detach(patch):
    """A frozen Linear cuts the graph."""

    def make(original):
        return lambda self, x: original(self, x if self.weight.requires_grad else x.detach())

    patch(nn.Linear, "forward", make)


@breaks("grad-freeze-part")
def frozen_layers_pass_gradients_unchanged(patch):
    """Through a frozen Linear the gradient passes unchanged."""

    def make(original):
        def forward(self, x):
            output = original(self, x)
            return output if self.weight.requires_grad else x + (output - x).detach()

        return forward

    patch(nn.Linear, "forward", make)


def _zero_grad(patch, change):
    patch(nn.Module, "zero_grad", lambda original: lambda self, set_to_none=True: change(original, self, set_to_none))


@breaks("grad-zero-grad")
def gradients_are_zeroed_by_default(patch):
    """zero_grad() zeroes the gradients in place by default."""
    _zero_grad(patch, lambda original, module, set_to_none: original(module, False))


@breaks("grad-zero-grad")
def new_zeros_take_the_place(patch):
    """zero_grad(set_to_none=False) puts a new tensor of zeros into .grad."""

    def change(original, module, set_to_none):
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else torch.zeros_like(parameter)

    _zero_grad(patch, change)


@breaks("grad-zero-grad")
def zeroed_gradients_keep_their_graph(patch):
    """zero_grad(set_to_none=False) leaves gradients that require gradients as such."""

    def change(original, module, set_to_none):
        for parameter in module.parameters():
            if parameter.grad is not None and set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.data.zero_()

    _zero_grad(patch, change)


@breaks("grad-zero-grad")
def only_direct_gradients_are_dropped(patch):
    """zero_grad() passes over sub-Modules."""

    def change(original, module, set_to_none):
        parameters = list(module.parameters(recurse=False))
        for parameter in parameters:
            parameter.grad = None

    _zero_grad(patch, change)


@breaks("grad-zero-grad-absent")
def absent_gradients_become_zeros(patch):
    """zero_grad(set_to_none=False) gives every parameter a gradient of zeros."""

    def change(original, module, set_to_none):
        original(module, set_to_none)
        for parameter in module.parameters():
            if not set_to_none:
                parameter.grad = torch.zeros_like(parameter)

    _zero_grad(patch, change)


@breaks("grad-zero-grad-absent")
def gradients_of_buffers_are_dropped_too(patch):
    """zero_grad() drops the gradients of buffers."""

    def change(original, module, set_to_none):
        original(module, set_to_none)
        for buffer in module.buffers():
            buffer.grad = None

    _zero_grad(patch, change)


@breaks("grad-none-vs-zero")
def optimizers_take_none_for_zero(patch):
    """SGD takes an absent gradient for zeros."""

    def make(original):
        def step(self, *args):
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is None:
                        parameter.grad = torch.zeros_like(parameter)
            return original(self, *args)

        return step

    patch(torch.optim.SGD, "step", make)


@breaks("grad-none-vs-zero")
def optimizers_pass_over_zeros(patch):
    """SGD passes over parameters whose gradient is zero."""

    def make(original):
        def step(self, *args):
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None and not parameter.grad.any():
                        parameter.grad = None
            return original(self, *args)

        return step

    patch(torch.optim.SGD, "step", make)


@breaks("grad-inputs-dict")
def inputs_are_ignored(patch):
    """backward accumulates into all leaves, whatever inputs says."""
    patch(
        torch.Tensor,
        "backward",
        lambda original: lambda self, *args, inputs=None, **kwargs: original(self, *args, **kwargs),
    )
