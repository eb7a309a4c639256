"""The same hostile model files and bundles each time: a short part of what ``scripts/fuzz`` does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flatbuffers")

from scripts.fuzzing.__main__ import faults
from scripts.fuzzing.forks import Outcome
from scripts.fuzzing.model_changes import model_file

ROOT = Path(__file__).parents[2]
JUDGES = """
import os, sys, time
from scripts.fuzzing.forks import Fault, each_in_a_process

def judge(case, folder, stage):
    stage("first")
    assert list(folder.iterdir()) == []
    if case == 1: return "a reason"
    if case == 2: os.abort()
    if case == 3: raise Fault("something is wrong")
    if case == 4: raise KeyError("x")
    if case == 5: memory = b"x" * 150_000_000
    if case == 6: os._exit(3)
    stage("second")
    return ""

for outcome in sorted(each_in_a_process(judge, range(7), workers=3), key=lambda outcome: outcome.case):
    print(outcome.case, outcome.stage, outcome.verdict, outcome.peak_mb > 100, outcome.message)
"""


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_happens_to_a_case_never_reaches_the_parent() -> None:
    assert run("-c", JUDGES).splitlines() == [
        "0 second accepted False ",
        "1 first refused False a reason",
        "2 first killed False by SIGABRT",
        "3 first fault False something is wrong",
        "4 first fault False KeyError in <string>:11: 'x'",
        "5 second accepted True ",
        "6 first killed False with exit code 3",
    ]


def test_a_case_is_the_same_each_time() -> None:
    assert [model_file(1, case) for case in range(5)] == [model_file(1, case) for case in range(5)]
    assert len({model_file(1, case) for case in range(20)}) > 15


def test_what_is_at_fault_is_told_from_what_is_not() -> None:
    def outcome(**values: object) -> Outcome:
        return Outcome(**{"case": 1, "stage": "use", "verdict": "refused", **values})  # type: ignore[arg-type]

    good = [outcome(), outcome(verdict="accepted"), outcome(verdict="killed", stage="trial")]
    bad = [outcome(verdict="fault"), outcome(verdict="killed"), outcome(peak_mb=201.0)]
    assert faults([*good, *bad]) == bad


@pytest.mark.parametrize(("kind", "cases"), [("models", 100), ("bundles", 50)])
def test_nothing_hostile_does_harm(kind: str, cases: int) -> None:
    pytest.importorskip("cryptography")
    assert run("-m", "scripts.fuzzing", kind, "--cases", str(cases), "--seed", "17").endswith("\n0 at fault\n")
