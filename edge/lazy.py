"""Names of a package that are loaded when they are first used (PEP 562), so that importing it costs nothing."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

__all__ = ["load"]

_DISTRIBUTION = "mobilenet-edge"


def load(package: str, name: str, modules: Mapping[str, Sequence[str]]) -> object:
    """The value of a name that ``package`` does not have yet; for the package's ``__getattr__``, which keeps it.

    Args:
        package: The package's name.
        name: The name that is asked for. ``__version__`` is that of the installed distribution, and ``0+unknown`` where
            the package runs from a folder alone.
        modules: The names in each of the package's modules.

    Raises:
        AttributeError: No module has the name.
    """
    if name == "__version__":
        try:
            return version(_DISTRIBUTION)
        except PackageNotFoundError:
            return "0+unknown"
    for module, names in modules.items():
        if name in names:
            return getattr(import_module(f"{package}.{module}"), name)
    raise AttributeError(f"module '{package}' has no attribute '{name}'")
