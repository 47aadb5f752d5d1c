"""What several of the room's faults share."""


def altered_module(patch, kind, alter):
    """``kind.forward`` calls ``alter(original, self, input)``."""
    patch(kind, "forward", lambda original: lambda self, input: alter(original, self, input))
