"""How what test_structure.py decides could be broken."""

from torch import nn

from torchclaims import breaks


@breaks(
    "vgg-names",
    "vgg-relu-table",
    "vgg-convolution-table",
    "vgg-blocks",
    "vgg-configuration",
    "vgg-printed-structure",
)
def children_are_sorted_by_name(patch):
    """add_module sorts children by name, so that conv10 comes before conv2."""

    def broken(original):
        def add_module(parent, name, module):
            original(parent, name, module)
            children = sorted(parent._modules.items())
            parent._modules.clear()
            parent._modules.update(children)

        return add_module

    patch(nn.Module, "add_module", broken)


@breaks("vgg-names", "vgg-relu-table", "vgg-convolution-table")
def sequential_counts_from_one(patch):
    """An index into Sequential is one too low, except for the first layer."""
    patch(
        nn.Sequential,
        "__getitem__",
        lambda original: lambda layers, index: original(layers, index - (index != 0)),
    )


@breaks("vgg-printed-structure", "vgg-printed-arguments")
def printed_channels_are_swapped(patch):
    """A printed convolution shows its output channels first."""

    def broken(original):
        def extra_repr(conv):
            first, second, rest = original(conv).split(", ", 2)
            return f"{second}, {first}, {rest}"

        return extra_repr

    patch(nn.modules.conv._ConvNd, "extra_repr", broken)


@breaks("vgg-printed-structure")
def zero_padding_is_not_printed(patch):
    """A pooling prints its padding only where there is some."""

    def broken(original):
        return lambda pool: original(pool).replace(", padding=0", "")

    patch(nn.MaxPool2d, "extra_repr", broken)


@breaks("vgg-printed-arguments")
def momentum_is_printed_as_its_complement(patch):
    """A printed normalisation shows the complement of its momentum."""

    def broken(original):
        return lambda norm: original(norm).replace("momentum=0.1", "momentum=0.9")

    patch(nn.modules.batchnorm._NormBase, "extra_repr", broken)


@breaks("vgg-weighted-layers")
def the_last_module_is_left_out(patch):
    """modules() ends one module early."""

    def broken(original):
        def modules(module):
            found = list(original(module))
            return iter(found[:-1] if len(found) > 1 else found)

        return modules

    patch(nn.Module, "modules", broken)


@breaks("vgg-parameter-count")
def statistics_are_parameters(patch):
    """parameters() counts the running statistics in."""

    def broken(original):
        def named_parameters(module, prefix="", recurse=True, remove_duplicate=True):
            yield from original(module, prefix, recurse)
            for name, buffer in module.named_buffers(prefix, recurse):
                if buffer.is_floating_point():
                    yield name, buffer

        return named_parameters

    patch(nn.Module, "named_parameters", broken)


@breaks("vgg-classifier")
def ordered_names_are_sorted(patch):
    """Sequential sorts the names of an OrderedDict."""

    def broken(original):
        def __init__(layers, *args):
            original(layers, *args)
            children = sorted(layers._modules.items())
            layers._modules.clear()
            layers._modules.update(children)

        return __init__

    patch(nn.Sequential, "__init__", broken)


@breaks("vgg-equal-names")
def names_are_listed_once(patch):
    """named_modules lists each local name once."""

    def broken(original):
        def named_modules(module, memo=None, prefix="", remove_duplicate=True):
            seen = set()
            for name, found in original(module, memo, prefix, remove_duplicate):
                local = name.rpartition(".")[2]
                if local not in seen:
                    seen.add(local)
                    yield name, found

        return named_modules

    patch(nn.Module, "named_modules", broken)
