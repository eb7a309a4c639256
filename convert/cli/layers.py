"""``edge-convert layers``: where a quantized network loses what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from convert.cli.options import TRUTH_RULE, AsJson, Calibration, CheckpointFile, Side
from convert.options import QuantizationOptions
from edge.combinations import combined
from edge.console import progress_bar, stdout, table, write_json
from edge.grouping import grouped
from edge.plot import check_plot, write_charts
from edge.plot.chart import Axis, Chart, Mark, Series

if TYPE_CHECKING:  # torch is imported by the commands that need it: --help must not wait for it
    from convert.pipeline.layers import NetworkReport

__all__ = ["layers"]

_HEADINGS: Final = ("layer", "weights dB", "output dB", "bias shift", "dead", "at top %", "alone agree %", "alone nats")


@combined(TRUTH_RULE)
@grouped
def layers(
    checkpoint: CheckpointFile,
    resolution: Side,
    form: Annotated[
        Literal["tflite", "onnx-int8", "onnx-int8_full"], typer.Option(help="The int8 form to examine.")
    ] = "tflite",
    calibration: Calibration = None,
    options: QuantizationOptions = QuantizationOptions(),
    plot: Annotated[Path | None, typer.Option(help="Draw it: a .png, .svg or .html file.")] = None,
    json: AsJson = False,
) -> None:
    """Quantize, and show layer by layer what it does: noise, shifts, dead channels, and what each costs alone.

    Example: edge-convert layers mobilenet_1_0_224_tf.h5 --resolution 224 --calibration photos --plot layers.png
    """
    from convert.conversion import examine_layers

    if plot is not None:
        check_plot(plot)
    with progress_bar("examining") as progress:
        report = examine_layers(
            checkpoint, resolution, form=form, calibration=calibration, options=options, progress=progress
        )
    if plot is not None:
        title = f"{checkpoint.name} at {resolution}, {form}"
        write_charts(_charts(report), plot, title=title, notes=[f"{report.pictures} pictures not calibrated on"])
    if json:
        write_json(report.to_dict())
    else:
        _print(report)


def _print(report: NetworkReport) -> None:
    made = table("Layers beside their float originals", *_HEADINGS)
    for layer in report.layers:
        made.add_row(
            layer.name,
            f"{layer.weight_sqnr_db:.1f}",
            f"{layer.output_sqnr_db:.1f}",
            f"{layer.bias_shift:.4f}",
            str(layer.dead_channels),
            f"{100 * layer.saturated:.2f}",
            f"{100 * layer.alone_agreement:.1f}",
            f"{layer.alone_divergence:.5f}",
        )
    stdout().print(made)
    costliest = report.costliest
    stdout().print(
        f"All layers together: agreement {report.agreement:.1%} of {report.pictures} pictures, "
        f"{report.divergence:.5f} nats. Costliest alone: {costliest.name}, {costliest.alone_agreement:.1%}, "
        f"{costliest.alone_divergence:.5f} nats.",
        soft_wrap=True,
    )


def _charts(report: NetworkReport) -> list[Chart]:
    place = Axis(label="layer, from the stem to the classifier")

    def series(name: str, colour: str, values: list[float]) -> Series:
        marks = (
            Mark(at=(number, value), name=layer.name)
            for number, (layer, value) in enumerate(zip(report.layers, values, strict=True))
        )
        return Series(name=name, colour=colour, marks=tuple(marks), is_line=True)

    def column(read: str) -> list[float]:
        return [float(getattr(layer, read)) for layer in report.layers]

    noise = (
        series("weights", "#1f66b0", column("weight_sqnr_db")),
        series("output, all before it rounded", "#d97706", column("output_sqnr_db")),
    )
    cost = (series("this layer alone rounded", "#b00020", [1000 * v for v in column("alone_divergence")]),)
    shift = (series("mean of the channels", "#2e7d32", [100 * v for v in column("bias_shift")]),)
    return [
        Chart(title="Signal over rounding noise", x=place, y=Axis(label="SQNR, dB"), series=noise),
        Chart(title="Divergence from float", x=place, y=Axis(label="millinats", starts_at_zero=True), series=cost),
        Chart(title="Bias shift", x=place, y=Axis(label="% of deviation", starts_at_zero=True), series=shift),
    ]
