"""Names of a package that are loaded when they are first used (PEP 562), so that importing it costs nothing."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from edge.parts import extra_of, failed_import

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
        ModuleNotFoundError: A library that it needs is not installed; the message says how to get it.
    """
    if name == "__version__":
        try:
            return version(_DISTRIBUTION)
        except PackageNotFoundError:
            return "0+unknown"
    for module, names in modules.items():
        if name in names:
            return getattr(_imported(f"{package}.{module}", f"{package}.{name}"), name)
    raise AttributeError(f"module '{package}' has no attribute '{name}'")


def _imported(module: str, needed_for: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if extra_of((error.name or "").partition(".")[0]) is None:
            raise
        raise ModuleNotFoundError(failed_import(error, needed_for), name=error.name, path=error.path) from error
