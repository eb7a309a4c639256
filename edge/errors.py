"""The root of the error tree, and the branch of :mod:`edge`; the other packages grow their own from the same root.

::

    EdgeError
    ├── VariantError            (ValueError)      an invalid variant name, width or resolution
    ├── ImageError              (ValueError)      a picture that cannot be read or has the wrong form
    ├── BundleError             (ValueError)      a bundle that is missing, damaged or of another schema
    │   └── UnsaidError         (BundleError)     a model that does not say its labels or what its pixels are
    ├── SignatureError          (ValueError)      a bundle that no trusted key signed
    │   ├── UntrustedKeyError   (SignatureError)  a channel that was signed, but not by a trusted key
    │   └── OlderVersionError   (SignatureError)  a bundle that is older than the version in use
    ├── ChannelError            (ValueError)      a channel that is damaged, expired, replayed or badly set up
    ├── ProfileError            (ValueError)      a latency profile that is missing, damaged or of another schema
    │   ├── UnlikeProfilesError (ProfileError)    profiles that were measured under different conditions
    │   └── UnequalBoardError   (ProfileError)    a profile of a board that is not this one's equal
    ├── BudgetError             (ValueError)      an invalid latency budget
    ├── ConfidenceError         (ValueError)      an invalid threshold below which an answer is unknown
    ├── TeachingError           (ValueError)      pictures or a network that new classes cannot be learned from
    ├── NoVariantFits           (LookupError)     a valid budget that no variant meets
    ├── BackendError            (RuntimeError)    an inference backend that cannot run a model
    ├── OutputError             (OSError)         a file or folder that cannot be written
    │   └── ExistsError         (OutputError)     a file or folder that exists and may not be replaced
    ├── DownloadError           (OSError)         a file that cannot be fetched, or is not the one that was expected
    │   ├── WrongFileError      (DownloadError)   a file that was fetched and is not the one that was expected
    │   └── MissingFileError    (DownloadError)   a server that answers, and does not have the file
    └── SelfTestError           (RuntimeError)    a model that does not give the answers its bundle says it gives

A message says what happened, what was expected and how to fix it, on one line.
Commands print it as ``<program>: <message>`` and exit with the class's ``exit_code``.
"""

from __future__ import annotations

import os
import re
from typing import Final

__all__ = [
    "BackendError",
    "BudgetError",
    "BundleError",
    "ChannelError",
    "ConfidenceError",
    "DownloadError",
    "EdgeError",
    "ExistsError",
    "ImageError",
    "MissingFileError",
    "NoVariantFits",
    "OlderVersionError",
    "OutputError",
    "ProfileError",
    "SelfTestError",
    "SignatureError",
    "TeachingError",
    "UnequalBoardError",
    "UnlikeProfilesError",
    "UnsaidError",
    "UntrustedKeyError",
    "VariantError",
    "WrongFileError",
    "opencv_reason",
    "os_reason",
]


_NO_HOST: Final = (-2, -5)
"""``EAI_NONAME`` and ``EAI_NODATA`` of :class:`socket.gaierror`."""


class EdgeError(Exception):
    """The root of every error this package raises on purpose."""

    exit_code: Final[int] = 1


class VariantError(EdgeError, ValueError):
    """An invalid variant name, width multiplier or resolution."""


class ImageError(EdgeError, ValueError):
    """A picture that cannot be read or does not have the form asked for."""


class BundleError(EdgeError, ValueError):
    """A bundle that is missing, damaged or written by another schema."""


class UnsaidError(BundleError):
    """A ready model that does not say its labels or what its pixels are."""

    def __init__(self, message: str, *, needs: str = "labels") -> None:
        """``needs`` is what has to be given: ``labels`` or ``pixels``."""
        super().__init__(message)
        self.needs = needs


class SignatureError(EdgeError, ValueError):
    """A bundle that no trusted key signed, or whose signature cannot be checked."""


class UntrustedKeyError(SignatureError):
    """A channel that was signed, but not by a trusted key."""


class OlderVersionError(SignatureError):
    """A signed bundle that is older than the version in use."""


class ChannelError(EdgeError, ValueError):
    """A channel of updates that is damaged, expired, older than one seen before, or not set up as it must be."""


class ProfileError(EdgeError, ValueError):
    """A latency profile that is missing, damaged or written by another schema."""


class UnlikeProfilesError(ProfileError):
    """Latency profiles that were measured under different conditions."""


class UnequalBoardError(ProfileError):
    """A latency profile of a board that is not this one's equal."""


class BudgetError(EdgeError, ValueError):
    """An invalid latency budget."""


class NoVariantFits(EdgeError, LookupError):  # noqa: N818 - reads as the fact it states
    """A valid budget that no variant meets."""


class ConfidenceError(EdgeError, ValueError):
    """An invalid threshold below which an answer is unknown."""


class TeachingError(EdgeError, ValueError):
    """Pictures, or a network, that new classes cannot be learned from."""


class BackendError(EdgeError, RuntimeError):
    """An inference backend that is absent or cannot run the model given."""


class OutputError(EdgeError, OSError):
    """A file or folder that cannot be written."""


class ExistsError(OutputError):
    """A file or folder that is there already and may not be replaced."""


class DownloadError(EdgeError, OSError):
    """A file that cannot be fetched, or is not the one that was expected."""


class WrongFileError(DownloadError):
    """A file that was fetched, or offered, and is not the one that was expected."""


class MissingFileError(DownloadError):
    """A file that is not at its address: the server answered so."""


class SelfTestError(EdgeError, RuntimeError):
    """A model that does not give the answers its bundle says it gives."""


def opencv_reason(error: Exception) -> str:
    """The cause in a ``cv2.error``'s message, without version, source file and function.

    Its attribute ``err`` does not help: it belongs to the class, and holds the error that OpenCV raised last.
    """
    found = re.search(r"error: \(-?\d+:([^)]*)\)\s*(.*?)\s*(?:in function|$)", str(error).partition("\n")[0])
    return found[2].strip() or found[1] if found else str(error).strip()


def os_reason(error: OSError) -> str:
    """The operating system's words for ``error``, in lower case and without number or path."""
    if error.errno and error.errno > 0 and type(error).__module__ != "ssl":  # which, as look-ups do, counts its own
        return os.strerror(error.errno).lower()
    if error.errno in _NO_HOST:
        return "there is no host of this name"
    return re.sub(r"^\[.*?\] | \(_ssl\.c:\d+\)$", "", error.strerror or str(error)).lower()
