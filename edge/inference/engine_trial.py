"""Whether an engine that another machine built gives this bundle's golden answers here; found by a child process.

An engine is code for the GPU, and whoever reads it is the driver and TensorRT: one that is damaged may end the process.
So it is first loaded and run in a child, from a folder of its own. This module is that child's program, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np

from edge.bundles.bundle import Bundle, open_bundle
from edge.bundles.variant import Variant
from edge.child_command import child_command
from edge.errors import BackendError, EdgeError, SelfTestError
from edge.inference.backends.base import first_line
from edge.inference.classifier import Classifier
from edge.inference.selftest import self_test

__all__ = ["try_engine"]

LONGEST_S: Final = 300.0
"""How long it may take, with loading CUDA."""
_GREY: Final = np.full((64, 64, 3), 128, np.uint8)


def try_engine(bundle: Bundle, variant: Variant, precision: str, cache: Path, *, longest_s: float = LONGEST_S) -> bool:
    """Load and run an engine in a child process.

    Args:
        bundle: The bundle that has the engine's ONNX file.
        variant: Of that file.
        precision: Of that file.
        cache: The folder that is the cache folder to the child: the engine is in ``mobilenet-edge/engines`` below it.
        longest_s: How long it may take.

    Returns:
        Whether there were golden answers to compare with; else it was only run.

    Raises:
        SelfTestError: An answer is wrong.
        BackendError: It cannot be loaded or run within the time.
    """
    command = child_command("edge.inference.engine_trial", str(bundle.root), variant.name, precision)
    name = f"{variant.name} ({precision})"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"XDG_CACHE_HOME": str(cache)},
            timeout=longest_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"The engine of {name} did not answer within {longest_s:g} s: it is not used.") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        cause = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise BackendError(f"The engine of {name} ended the process that tried it ({cause}): it is not used.")
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise (SelfTestError if answer["is_wrong"] else BackendError)(answer["error"])
    return bool(answer["is_tested"])


def _try(root: str, name: str, precision: str) -> dict[str, object]:
    """The child's answer."""
    try:
        bundle = open_bundle(Path(root))
        with Classifier(bundle, Variant.parse(name), backend=f"tensorrt:{precision}") as classifier:
            is_tested = self_test(bundle, classifier)
            if not is_tested and not np.isfinite(classifier.probabilities(_GREY)).all():
                return {"error": f"The engine of {name} answers with values that are no numbers.", "is_wrong": True}
            return {"is_tested": is_tested}
    except EdgeError as error:
        return {"error": first_line(error), "is_wrong": isinstance(error, SelfTestError)}


if __name__ == "__main__":
    print(json.dumps(_try(*sys.argv[1:])), flush=True)  # noqa: T201 - the parent's answer
