"""``gpio:17``: a pin of a Raspberry Pi that is active while a class is seen."""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

from camera_demo.actions.base import Complaints
from camera_demo.actions.rules import Rule
from camera_demo.errors import ConfigError
from camera_demo.events import Event

__all__ = ["GpioAction", "pin_of"]

_PIN: Final = re.compile(r"(\d{1,3})(:low)?")


class GpioAction:
    """Sets a pin at the begin of an event, and resets it when the last of those that set it is over."""

    def __init__(self, rule: Rule) -> None:
        """Take the pin, and make it inactive.

        Args:
            rule: The rule whose target is the pin: its BCM number, with ``:low`` for one that is active at 0 V.

        Raises:
            ConfigError: The pin is invalid or taken, there are no pins here, or gpiozero is not installed.
        """
        number, is_low = pin_of(rule.target)
        self._complaints = Complaints(rule.name)
        self._active: set[tuple[str, int]] = set()
        self._device: Any = _device(number, is_low=is_low)

    def act(self, event: Event) -> None:
        """Set or reset the pin."""
        key = event.region, event.number
        self._active = self._active - {key} if event.is_over else self._active | {key}
        try:
            if self._active:
                self._device.on()
            else:
                self._device.off()
        except Exception as error:  # noqa: BLE001 - each pin factory has errors of its own
            self._complaints.say(f"failed: {error}")

    def close(self) -> None:
        """Reset and free the pin."""
        try:
            self._device.close()
        except Exception as error:  # noqa: BLE001 - as above
            self._complaints.say(f"failed: {error}")


def pin_of(text: str) -> tuple[int, bool]:
    """The pin's BCM number, and whether it is active low.

    >>> pin_of("17"), pin_of("17:low")
    ((17, False), (17, True))

    Raises:
        ConfigError: The text is not a pin.
    """
    match = _PIN.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"gpio:{text} is not a pin: expected its BCM number, e.g. gpio:17, or gpio:17:low.")
    return int(match[1]), match[2] is not None


def _device(number: int, *, is_low: bool) -> Any:
    try:
        import gpiozero
    except ImportError as reason:
        raise ConfigError(
            f"gpio:{number} needs gpiozero, which is not installed: sudo apt install python3-gpiozero, and "
            "./install.sh again; elsewhere pip install gpiozero."
        ) from reason
    try:
        with warnings.catch_warnings():  # gpiozero warns of each way to the pins that it tries in vain
            warnings.simplefilter("ignore")
            return gpiozero.DigitalOutputDevice(number, active_high=not is_low, initial_value=False)
    except Exception as error:
        raise ConfigError(
            f"Cannot use gpio:{number}: {str(error).rstrip('.!') or type(error).__name__}. Expected a free pin of a "
            "Raspberry Pi, by its BCM number."
        ) from error
