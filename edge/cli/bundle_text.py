"""What the commands of ``edge bundle`` say of installed bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.bundles.registry import bundles_folder, installed_bundles, taught_folder
from edge.console import stdout, write_json
from edge.errors import BundleError

if TYPE_CHECKING:
    from edge.updates.install import Activation

__all__ = ["only_one", "print_activation", "tested_text"]


def only_one() -> str:
    """The name of the bundle that is installed, where it is one."""
    names = sorted({one.name for one in installed_bundles((bundles_folder(), taught_folder()))})
    if len(names) == 1:
        return names[0]
    message = (
        f"which of {', '.join(names)}? edge bundle rollback NAME" if names else "edge bundle activate installs one"
    )
    raise BundleError(f"{len(names) or 'No'} bundles are installed in {bundles_folder()}: {message}.")


def print_activation(activation: Activation, as_json: bool, *, is_signed: bool | None = None) -> None:
    """Say what is in use now."""
    installed = activation.installed
    if as_json:
        write_json(
            {
                "bundle": activation.bundle.name,
                "active": installed.active,
                "previous": installed.previous,
                "folder": str(activation.bundle.root),
                "tested": activation.tested,
                "signature_checked": is_signed,
            }
        )
        return
    signed = ", signature verified" if is_signed else ""
    tested = tested_text(activation.tested)
    message = f"{installed.name}: version {installed.active or 'shipped'} is in use; {tested}{signed}."
    stdout().print(f"{message} A running service takes it by itself; restart what else runs with it.", soft_wrap=True)


def tested_text(count: int) -> str:
    """How the self-test went."""
    if not count:
        return "no golden pictures, so not tested"
    return f"{count} variant{'s' if count > 1 else ''} gave the golden answers"
