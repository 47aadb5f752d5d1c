"""How torch.compile could break its promises."""

import torch
from torch import nn

from torchclaims import breaks


def with_arguments(patch, change):
    """torch.compile is called with its keyword arguments as ``change`` leaves them."""

    def make(original):
        def compile(model=None, **options):
            if model is None:
                return lambda model: compile(model, **options)
            return original(model, **change(dict(options)))

        return compile

    patch(torch, "compile", make)


@breaks(
    "compile-custom-backend",
    "compile-guards",
    "compile-in-place",
    "compile-cache-by-code-object",
    "compile-decorator",
    "compiler-reset",
    "compiler-disable",
    "compiler-disable-not-recursive",
    "compiler-allow-in-graph",
    "compiler-force-eager",
    "compiler-fail-on-recompile",
    "compile-recompile-limit",
)
def the_backend_is_ignored(patch):
    """Each backend is taken for "eager"."""
    with_arguments(patch, lambda options: options | {"backend": "eager"})


@breaks("compile-fullgraph-raises")
def fullgraph_is_ignored(patch):
    with_arguments(patch, lambda options: options | {"fullgraph": False})


@breaks("compile-default-falls-back")
def results_of_later_graphs_are_scaled(patch):
    """Each graph after the first one adds a little."""

    def change(options):
        backend, graphs = options["backend"], []

        def leaking(graph, example_inputs):
            graphs.append(graph)
            run = backend(graph, example_inputs)
            return run if len(graphs) == 1 else lambda *inputs: tuple(out * 1.01 for out in run(*inputs))

        return options | {"backend": leaking}

    with_arguments(patch, change)


@breaks("compile-dynamic-false", "compile-falls-back-after-eight")
def every_size_is_dynamic(patch):
    with_arguments(patch, lambda options: options | {"dynamic": True})


@breaks("compile-dynamic-true", "compile-dynamic-automatic")
def no_size_is_dynamic(patch):
    with_arguments(patch, lambda options: options | {"dynamic": False})


@breaks("compile-falls-back-after-eight")
def compiles_without_end(patch):
    patch(torch._dynamo.config, "recompile_limit" if _RENAMED else "cache_size_limit", lambda _: 64)


_RENAMED = hasattr(torch._dynamo.config, "recompile_limit")


@breaks("compile-recompile-limit")
def the_limit_of_one_call_is_ignored(patch):
    with_arguments(patch, lambda options: options | {"recompile_limit": None})


@breaks("compile-guards", "compile-cache-by-code-object")
def nothing_is_kept(patch):
    """What was compiled is forgotten at each call."""

    def make(original):
        def compile(model=None, **options):
            compiled = original(model, **options)
            if not callable(model):
                return compiled

            def forgetful(*args):
                torch._dynamo.reset()
                return compiled(*args)

            return forgetful

        return compile

    patch(torch, "compile", make)


@breaks("compile-unknown-backend", "compile-unknown-mode", "compile-unknown-option", "compile-mode-or-options")
def whatever_is_unknown_is_the_default(patch):
    with_arguments(patch, lambda options: {"backend": "eager"})


@breaks("compile-disable")
def disable_is_ignored(patch):
    with_arguments(patch, lambda options: options | {"disable": False})


@breaks("compile-decorator")
def decorated_functions_lose_their_name(patch):
    def make(original):
        def compile(model=None, **options):
            if model is None:
                return lambda model: compile(model, **options)
            compiled = original(model, **options)
            return lambda *args: compiled(*args)

        return compile

    patch(torch, "compile", make)


@breaks("compile-module-keys")
def compiled_modules_hide_the_prefix(patch):
    from torch._dynamo.eval_frame import OptimizedModule

    patch(
        OptimizedModule,
        "state_dict",
        lambda original: lambda self, *args, **kwargs: self._orig_mod.state_dict(*args, **kwargs),
    )


@breaks("compile-module-shares")
def a_copy_is_compiled(patch):
    import copy

    def make(original):
        def compile(model=None, **options):
            return original(copy.deepcopy(model), **options)

        return compile

    patch(torch, "compile", make)


@breaks("compile-module-shares")
def weights_are_frozen_into_the_graph(patch):
    """A compiled module computes with the weights of its first call."""

    def make(original):
        def compile(model=None, **options):
            compiled = original(model, **options)
            forward = compiled.forward
            seen = []

            def remembering(x):
                seen.append(forward(x))
                return seen[0]

            compiled.forward = remembering
            return compiled

        return compile

    patch(torch, "compile", make)


@breaks("compile-in-place-keeps-structure")
def compiled_in_place_returns_the_module(patch):
    def make(original):
        def compile(self, *args, **kwargs):
            original(self, *args, **kwargs)
            return self

        return compile

    patch(nn.Module, "compile", make)


@breaks("compile-in-place-keeps-structure")
def compiled_in_place_gains_a_child(patch):
    def make(original):
        def compile(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.add_module("compiled", nn.Identity())

        return compile

    patch(nn.Module, "compile", make)


@breaks("compile-in-place")
def arguments_are_lost_in_place(patch):
    patch(nn.Module, "compile", lambda original: lambda self, *, backend, **kwargs: original(self, backend=backend))


@breaks("compile-in-place")
def nothing_is_compiled_in_place(patch):
    patch(nn.Module, "compile", lambda original: lambda self, *args, **kwargs: None)


@breaks("compile-in-place-own-layers")
def own_layers_are_compiled_or_not(patch):
    """Where they are compiled they no longer are, and where not, they are."""
    own_layers_are_compiled = _own_layers_are_compiled()

    def make(original):
        def compile(self, *, backend, **kwargs):
            if own_layers_are_compiled:
                return None
            backend(torch.fx.symbolic_trace(self), [])
            return None

        return compile

    patch(nn.Module, "compile", make)


def _own_layers_are_compiled():
    calls = []
    module = nn.ReLU()
    module.compile(backend=lambda graph, inputs: calls.append(graph) or graph.forward)
    module(torch.ones(1))
    torch._dynamo.reset()
    return bool(calls)


@breaks("compile-early-hooks")
def hooks_are_left_out(patch):
    patch(
        torch,
        "compile",
        lambda original: lambda model, **options: original(model.forward, **options),
    )


@breaks("compile-mutation")
def the_input_is_copied(patch):
    def make(original):
        def compile(model=None, **options):
            compiled = original(model, **options)
            return lambda x: compiled(x.clone())

        return compile

    patch(torch, "compile", make)


@breaks("compile-leaf-in-place", "compile-saved-in-place")
def leaves_are_detached(patch):
    """What is compiled no longer knows that its input is a leaf."""

    def make(original):
        def compile(model=None, **options):
            def unchecked(x):
                with torch.no_grad():
                    out = model(x.detach().clone())
                return out.requires_grad_()

            return unchecked

        return compile

    patch(torch, "compile", make)


@breaks("compiler-is-compiling")
def it_is_never_compiling(patch):
    patch(torch.compiler, "is_compiling", lambda original: lambda: False)


@breaks("compiler-is-compiling")
def it_is_always_compiling(patch):
    patch(torch.compiler, "is_compiling", lambda original: lambda: True)


@breaks("compiler-disable")
def disable_does_nothing(patch):
    patch(torch.compiler, "disable", lambda original: lambda fn=None, recursive=True: fn)


@breaks("compiler-disable")
def disable_is_not_recursive(patch):
    patch(torch.compiler, "disable", lambda original: lambda fn=None, recursive=True: original(fn, recursive=False))


@breaks("compiler-disable-not-recursive")
def disable_is_recursive(patch):
    patch(torch.compiler, "disable", lambda original: lambda fn=None, recursive=True: original(fn))


@breaks("compiler-reset")
def reset_does_nothing(patch):
    patch(torch.compiler, "reset", lambda original: lambda: None)


@breaks("compiler-list-backends")
def the_default_is_not_listed(patch):
    patch(
        torch.compiler,
        "list_backends",
        lambda original: lambda **tags: [name for name in original(**tags) if name != "inductor"],
    )


@breaks("compiler-list-backends")
def tags_exclude_nothing(patch):
    patch(torch.compiler, "list_backends", lambda original: lambda **tags: original(exclude_tags=None))


@breaks("compiler-assume-constant")
def a_constant_is_traced(patch):
    patch(torch.compiler, "assume_constant_result", lambda original: lambda function: function)


@breaks("compiler-allow-in-graph")
def what_is_allowed_is_traced(patch):
    patch(torch.compiler, "allow_in_graph", lambda original: lambda function: function)


@breaks("compiler-force-eager", "compiler-eager-on-recompile", "compiler-fail-on-recompile")
def stances_are_ignored(patch):
    import contextlib

    if hasattr(torch.compiler, "set_stance"):
        patch(torch.compiler, "set_stance", lambda original: lambda stance: contextlib.nullcontext())
    else:
        patch(torch, "compile", lambda original: original)


@breaks("compiler-eager-on-recompile", "compiler-fail-on-recompile")
def every_stance_forces_eager(patch):
    if hasattr(torch.compiler, "set_stance"):
        patch(torch.compiler, "set_stance", lambda original: lambda stance: original("force_eager"))
    else:
        patch(torch, "compile", lambda original: original)
