"""``edge.fleet``: its names, loaded when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import edge.fleet as fleet


def test_every_name_is_there_and_no_other() -> None:
    assert set(fleet.__all__) <= set(dir(fleet))
    for name in fleet.__all__:
        assert getattr(fleet, name).__name__ == name
    with pytest.raises(AttributeError, match=r"module 'edge\.fleet' has no attribute 'nothing'"):
        _ = fleet.nothing  # type: ignore[attr-defined]
    assert sorted(name for names in fleet._MODULES.values() for name in names) == sorted(fleet.__all__)


def test_importing_it_loads_nothing() -> None:
    code = "import sys, edge.fleet; print([m for m in sys.modules if m.startswith(('edge.', 'numpy', 'crypto'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['edge.fleet']"
