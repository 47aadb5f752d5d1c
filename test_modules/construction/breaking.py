"""What several of the room's faults share."""


def adding(add):
    """What makes an ``add_module`` that goes through ``add(original, self, name, module)``."""
    return lambda original: lambda self, name, module: add(original, self, name, module)
