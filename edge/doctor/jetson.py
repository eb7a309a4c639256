"""Checks of a Jetson's own software: JetPack, TensorRT, CUDA, engines built before, and the power mode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from edge.board.device import read_line, read_text
from edge.doctor.environment import Surroundings
from edge.doctor.finding import Finding, ok, problem, warning
from edge.inference.engine_cache import EngineStore

__all__ = ["cuda_bindings", "engines", "integers", "jetpack", "power", "tensorrt"]

_JETPACKS: Final = (
    ((32, 0), (33, 0), "JetPack 4"),
    ((34, 0), (36, 0), "JetPack 5"),
    ((36, 0), (36, 4), "JetPack 6.0"),
    ((36, 4), (37, 0), "JetPack 6.1 or 6.2"),
    ((38, 0), (38, 4), "JetPack 7.0"),
    ((38, 4), (39, 0), "JetPack 7.1"),
    ((39, 0), (40, 0), "JetPack 7.2"),
)
"""Ranges of Jetson Linux and what they belong to; what is in none is not given a name."""
_OLDEST: Final = (36, 0)
_TRIED: Final = (36, 4)
_LEFT_BEHIND: Final = ("Nano Developer Kit", "Xavier", "TX1", "TX2")
"""Boards for which there is no JetPack 6."""
_WITHOUT_INT8: Final = ("Jetson Nano", "TX1", "TX2")
"""Boards whose GPU (compute capability 5.3 and 6.2) has no int8 instructions."""
_PIPS_TENSORRT: Final = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")


def jetpack(around: Surroundings) -> Iterator[Finding]:
    """Jetson Linux is new enough."""
    device = around.device
    if device.l4t is None:
        if device.is_jetson:
            message = "This is a Jetson without /etc/nv_tegra_release: its Jetson Linux is not known."
            yield warning("jetpack", message, "Install JetPack 6.1 or newer.")
        return
    version = tuple(int(part) for part in device.l4t.split(".")[:2])
    name = next((name for low, high, name in _JETPACKS if low <= version < high), "a JetPack unknown to this version")
    package = (around.run(("dpkg-query", "-W", "-f=${Version}", "nvidia-jetpack")) or "").strip()
    message = f"Jetson Linux {device.l4t}, {f'JetPack {package}' if package else name}"
    if version < _OLDEST:
        yield problem("jetpack", f"{message} is too old: it carries Python 3.8 or older.", _way_out(device.board or ""))
    elif version < _TRIED:
        yield warning(
            "jetpack", f"{message} has an older TensorRT than this package knows.", "Update to JetPack 6.1 or newer."
        )
    else:
        yield ok("jetpack", message)


def tensorrt(around: Surroundings) -> Iterator[Finding]:
    """TensorRT can be imported, and is JetPack's."""
    if not around.device.is_jetson:
        return
    reason = around.import_check("tensorrt")
    others = [path.parent.parent.name for path in around.system_packages("tensorrt")]
    if reason is None:
        pips = [name for name in _PIPS_TENSORRT if around.is_pips(name)]
        version = around.version_of("tensorrt") or "the system's"
        if pips:
            message = (
                f"{pips[0]} {around.version_of(pips[0])} from pip hides JetPack's TensorRT, the one that fits this GPU."
            )
            yield warning("tensorrt", message, f"pip uninstall {' '.join(pips)}")
        else:
            yield ok("tensorrt", version)
    elif around.is_closed:
        message = f"{around.prefix} does not see the system's packages, TensorRT among them: {reason}"
        fix = "sudo apt-get install nvidia-jetpack if it is missing, then ./install.sh: it lets the environment see it"
        yield warning("tensorrt", message, fix)
    elif others and not any(_is_seen(around, other) for other in others):
        message = f"TensorRT's binding is for {others[0]}, and this is Python {around.device.python}: {reason}"
        yield warning("tensorrt", message, f"Make the environment with {others[0]}: rm -rf .venv, then ./install.sh")
    else:
        fix = "sudo apt-get install nvidia-jetpack; the environment must use the system's python3."
        yield warning("tensorrt", reason, fix)


def cuda_bindings(around: Surroundings) -> Iterator[Finding]:
    """Where CUDA's Python bindings are installed, they are of the system's CUDA. This package needs none."""
    found = around.major("cuda-bindings") or around.major("cuda-python")
    cuda = _cuda_version(around)
    if found is None or cuda is None or not around.device.is_jetson:
        return
    major = int(cuda.split(".")[0])
    if found != major:
        message = f"cuda-bindings {found} are installed, and the system's CUDA is {cuda}."
        yield warning(
            "cuda bindings", message, f"pip install 'cuda-bindings=={major}.*', or pip uninstall cuda-bindings"
        )
    else:
        yield ok("cuda bindings", f"{found}, as the system's CUDA {cuda}")


def engines(around: Surroundings) -> Iterator[Finding]:
    """The TensorRT engines built here fit the system as it is now."""
    device, folder = around.device, EngineStore().folder
    names = sorted(path.name for path in folder.glob("*.engine")) if device.is_jetson else []
    if not names:
        return
    version = around.version_of("tensorrt")
    marks = [f"-l4t{device.l4t}-", *([f".trt{version}"] if version else [])]
    stale = [name for name in names if not all(mark in name for mark in marks)]
    if stale:
        message = f"{len(stale)} of {len(names)} engines in {folder} were built for another system and are not used."
        yield warning(
            "engines", message, "edge-convert engine BUNDLE builds them for this one; the old ones can be removed."
        )
    else:
        yield ok("engines", f"{len(names)} for this system in {folder}")


def integers(around: Surroundings) -> Iterator[Finding]:
    """The GPU has int8 instructions."""
    if any(name in (around.device.board or "") for name in _WITHOUT_INT8):
        message = "This board's GPU has no int8: an int8 engine would be slower than fp16 there."
        yield warning("int8", message, "--backend tensorrt:fp16")


def power(around: Surroundings) -> Iterator[Finding]:
    """What the power mode and the clocks are set to; nothing is changed."""
    if not around.device.is_jetson:
        return
    mode = around.health.power_mode
    cpus = sorted((around.root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
    limits = {(read_line(cpu / "scaling_min_freq"), read_line(cpu / "scaling_max_freq")) for cpu in cpus}
    is_fixed = bool(limits) and all(low is not None and low == high for low, high in limits)
    clocks = "clocks fixed (jetson_clocks)" if is_fixed else "clocks move with the load (sudo jetson_clocks fixes them)"
    yield ok("power mode", f"{mode or 'nvpmodel does not tell'}; {clocks}")


def _way_out(board: str) -> str:
    if any(name in board for name in _LEFT_BEHIND):
        return (
            "There is no JetPack 6 for this board: in a container with Python 3.10 or newer its CPU can be used "
            "(ai-edge-litert), its GPU cannot."
        )
    return "Update to JetPack 6.1 or newer."


def _is_seen(around: Surroundings, folder: str) -> bool:
    """Whether this interpreter looks into ``/usr/lib/FOLDER/dist-packages``."""
    return folder in ("python3", f"python{'.'.join(map(str, around.python))}")


def _cuda_version(around: Surroundings) -> str | None:
    """The system's CUDA: ``12.6.11``."""
    try:
        version = json.loads(read_text(around.root / "usr/local/cuda/version.json") or "")["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) and version.split(".")[0].isdigit() else None
