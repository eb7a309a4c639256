"""Build one engine in this process, with TensorRT from 8.5 to 11, or with TensorRT-RTX, which needs no GPU for it.

What differs between versions is asked of the module itself, in the functions whose name begins with ``_set``:

- up to 10.x precisions are allowed by builder flags; from 11.0 on the ONNX file's own types decide, and
  ``EXPLICIT_BATCH``, ``FP16``, ``INT8`` and ``platform_has_fast_int8`` are gone;
- 8.5 has no optimization levels, and versions before 10 report no progress;
- TensorRT-RTX, and it alone, builds for GPUs that are named instead of the one that is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from convert.errors import ConversionError
from convert.export.tensorrt.progress import new_monitor
from edge.inference.backends.tensorrt import new_log
from edge.progress import Progress, no_progress
from edge.settings import Doc

__all__ = ["BuildOptions", "Built", "build"]

_HALF: Final = ("fp16", "int8")
"""Precisions some of whose layers work in half floats."""
_INTEGER: Final = ("int8", "int8_full")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How to build."""

    workspace_mb: Annotated[int, Doc("The most scratch memory that a layer may use, MiB.")] = 256
    optimization_level: Annotated[
        int | None, Doc("0 to 5, how long to look for faster kernels; default: TensorRT's.")
    ] = None
    dla_core: Annotated[int | None, Doc("Use this DLA core, and the GPU for what it cannot run.", flags=("--dla",))] = (
        None
    )

    def __post_init__(self) -> None:
        if self.workspace_mb < 1:
            raise ConversionError(f"invalid workspace of {self.workspace_mb} MB: expected 1 or more.")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise ConversionError(f"invalid optimization level {self.optimization_level}: expected 0 to 5.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Built:
    """A finished engine and what was learned on the way."""

    content: bytes
    timing_cache: bytes
    dla_layers: int
    """Layers that the DLA takes."""
    layers: int


def build(
    trt: Any,
    model: Path,
    *,
    resolution: int,
    precision: str,
    compute_capability: str,
    options: BuildOptions | None = None,
    timing_cache: bytes = b"",
    log: Any = None,
    progress: Progress = no_progress,
) -> Built:
    """Build the engine of an ``.onnx`` file.

    Args:
        trt: The module ``tensorrt``, or ``tensorrt_rtx``.
        model: The file; its external data, if it has any, beside it.
        resolution: The ρ it must have.
        precision: ``fp32``, ``fp16``, ``int8`` or ``int8_full``, as the file was written.
        compute_capability: Of the GPU: ``8.7``.
        options: How to build; None for the defaults.
        timing_cache: What an earlier build gave; one that does not fit is passed over.
        log: A logger of :func:`edge.inference.backends.tensorrt.new_log`; None makes one.
        progress: Called as the work goes on, where TensorRT reports it.

    Raises:
        ConversionError: TensorRT cannot read the file or build it; or the GPU cannot what is asked for.
    """
    options, log = options or BuildOptions(), log or new_log(trt)
    builder = trt.Builder(log)
    network, parser = _parse(trt, builder, model, log)
    _check_input(network, model, resolution)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    _set_precision(trt, builder, config, precision, compute_capability)
    _set_level(trt, config, options.optimization_level)
    _set_dla(trt, builder, config, options.dla_core)
    _set_target(trt, config, compute_capability)
    monitor = _set_progress(trt, config, progress)
    config.set_timing_cache(config.create_timing_cache(timing_cache), ignore_mismatch=False)
    on_dla = _dla_layers(network, config) if options.dla_core is not None else 0
    memory = builder.build_serialized_network(network, config)
    del monitor, parser  # the builder only points to them; the weights are the parser's
    if memory is None:
        raise ConversionError(f"TensorRT {trt.__version__} cannot build {model.name}: {_cause(log)}")
    cache = config.get_timing_cache()
    return Built(
        content=bytes(memory),
        timing_cache=bytes(cache.serialize()) if cache is not None else b"",
        dla_layers=on_dla,
        layers=network.num_layers,
    )


def _parse(trt: Any, builder: Any, model: Path, log: Any) -> tuple[Any, Any]:
    """The network, and the parser that must live as long."""
    batch = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if batch is None else 1 << int(batch))
    parser = trt.OnnxParser(network, log)
    if not model.is_file():
        raise ConversionError(f"Cannot read {model}: no such file.")
    if not parser.parse_from_file(str(model)):
        cause = _first_error(log)
        raise ConversionError(f"TensorRT {trt.__version__} cannot read {model}: {cause}. Expected a whole ONNX file.")
    return network, parser


def _check_input(network: Any, model: Path, resolution: int) -> None:
    shapes = [tuple(network.get_input(index).shape) for index in range(network.num_inputs)]
    if shapes != [expected := (1, 3, resolution, resolution)]:
        inputs = " and ".join(map(str, shapes)) or "nothing"
        raise ConversionError(f"{model.name} takes {inputs}: expected one picture {expected}. Write the bundle again.")


def _set_precision(trt: Any, builder: Any, config: Any, precision: str, compute_capability: str) -> None:
    if precision in _INTEGER and not _has_int8(builder, compute_capability):
        raise ConversionError(
            f"This GPU, of compute capability {compute_capability}, has no int8 arithmetic, as have 6.1 and those from "
            "7.0 on. Build the fp16 file instead."
        )
    half, integer = getattr(trt.BuilderFlag, "FP16", None), getattr(trt.BuilderFlag, "INT8", None)
    for flag, precisions in ((half, _HALF), (integer, _INTEGER)):
        if flag is not None and precision in precisions:
            config.set_flag(flag)
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)


def _has_int8(builder: Any, compute_capability: str) -> bool:
    """As TensorRT reports it; where it no longer does, from its support matrix."""
    has_int8 = getattr(builder, "platform_has_fast_int8", None)
    version = tuple(int(part) for part in compute_capability.split("."))
    return bool(has_int8) if has_int8 is not None else version >= (6, 1) and version != (6, 2)


def _set_level(trt: Any, config: Any, level: int | None) -> None:
    if level is None:
        return
    if not hasattr(config, "builder_optimization_level"):
        raise ConversionError(f"TensorRT {trt.__version__} has no optimization levels: use the default.")
    config.builder_optimization_level = level


def _set_dla(trt: Any, builder: Any, config: Any, core: int | None) -> None:
    if core is None:
        return
    if not 0 <= core < builder.num_DLA_cores:
        raise ConversionError(
            f"There is no DLA core {core}, this machine has {builder.num_DLA_cores}; Xavier and some Orins have two. "
            "Build for the GPU alone."
        )
    config.default_device_type, config.DLA_core = trt.DeviceType.DLA, core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _dla_layers(network: Any, config: Any) -> int:
    return sum(bool(config.can_run_on_DLA(network.get_layer(index))) for index in range(network.num_layers))


def _set_target(trt: Any, config: Any, compute_capability: str) -> None:
    """Name the GPU where the builder does not need it to be there."""
    if hasattr(trt, "ComputeCapability"):
        target = getattr(trt.ComputeCapability, f"SM{compute_capability.replace('.', '')}", None)
        if target is None:
            raise ConversionError(
                f"TensorRT-RTX {trt.__version__} does not know GPUs of compute capability {compute_capability}: "
                "build with TensorRT."
            )
        config.num_compute_capabilities = 1
        config.set_compute_capability(target, 0)


def _set_progress(trt: Any, config: Any, progress: Progress) -> Any:
    """The monitor, which the caller must keep while it builds; None where TensorRT knows none."""
    if not (hasattr(trt, "IProgressMonitor") and hasattr(config, "progress_monitor")):
        progress("building; this TensorRT reports no progress", 0.0)
        return None
    config.progress_monitor = monitor = new_monitor(trt, progress)
    return monitor


def _cause(log: Any) -> str:
    cause = _first_error(log)
    if "memory" in cause.lower():
        return f"{cause}. Close other programs, add swap, or allow a smaller workspace."
    return f"{cause}."


def _first_error(log: Any) -> str:
    """What went wrong first, from which the other errors follow; without the place in TensorRT's source."""
    return re.sub(r"^\w+\.cpp:\d+: ", "", log.errors[0]).rstrip(". ") if log.errors else "no reason was given"
