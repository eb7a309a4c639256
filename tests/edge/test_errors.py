"""The tree of errors is the one its docstring draws."""

from __future__ import annotations

import builtins
import errno
import inspect
import os
import re
from types import ModuleType

import pytest

import camera_demo.errors
import convert.errors
import edge.errors
from edge.errors import EdgeError, opencv_reason, os_reason

ROOMS = (edge.errors, convert.errors, camera_demo.errors)


def classes(room: ModuleType) -> dict[str, type[EdgeError]]:
    """The classes that ``room`` defines itself."""
    found = {name: kind for name, kind in vars(room).items() if inspect.isclass(kind) and issubclass(kind, EdgeError)}
    return {name: kind for name, kind in found.items() if kind.__module__ == room.__name__}


def drawn(room: ModuleType) -> dict[str, str]:
    return dict(re.findall(r"[├└]── (\w+)\s+\((\w+)\)", room.__doc__ or ""))


CLASSES = {name: kind for room in ROOMS for name, kind in classes(room).items()}
DRAWN = {name: builtin for room in ROOMS for name, builtin in drawn(room).items()}


@pytest.mark.parametrize("room", ROOMS)
def test_the_docstring_draws_every_class_and_no_other(room: ModuleType) -> None:
    assert set(drawn(room)) == set(classes(room)) - {"EdgeError"}


@pytest.mark.parametrize(("name", "builtin"), DRAWN.items())
def test_each_class_refines_the_family_and_the_builtin_drawn(name: str, builtin: str) -> None:
    kind = CLASSES.get(builtin)
    assert CLASSES[name].__bases__ == ((EdgeError, getattr(builtins, builtin)) if kind is None else (kind,))


@pytest.mark.parametrize("name", DRAWN)
def test_each_class_carries_its_message_ends_a_command_with_1_and_says_what_it_is(name: str) -> None:
    kind = CLASSES[name]
    assert str(kind("What happened: what was expected.")) == "What happened: what was expected."
    assert kind.exit_code == 1
    assert kind.__doc__


@pytest.mark.parametrize("room", ROOMS)
def test_every_class_is_public(room: ModuleType) -> None:
    helpers = {"opencv_reason", "os_reason"} if room is edge.errors else set()
    assert set(room.__all__) == {*classes(room), *helpers}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), "no such file or directory"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x"), "no space left on device"),
        (OSError("Odd Thing"), "odd thing"),
    ],
)
def test_reasons_of_the_system_have_neither_number_nor_path(error: OSError, words: str) -> None:
    assert os_reason(error) == words


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            "OpenCV(5.0.0) /io/opencv/modules/imgcodecs/src/loadsave.cpp:87: error: (-215:Assertion failed) "
            "pixels <= CV_IO_MAX_IMAGE_PIXELS in function 'validateInputImageSize'\n",
            "pixels <= CV_IO_MAX_IMAGE_PIXELS",
        ),
        ("OpenCV(5.0.0) /io/x.cpp:1: error: (-4:Insufficient memory) in function 'f'\n", "Insufficient memory"),
        ("no window system", "no window system"),
    ],
)
def test_the_cause_is_found_in_opencvs_words(message: str, cause: str) -> None:
    assert opencv_reason(Exception(message)) == cause
