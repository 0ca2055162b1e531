"""`residua export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from residua.cli.options import FORCE, JSON
from residua.cli.paths import obtain_trained
from residua.cli.terminal import aside, command, console, next_line, put_json, show_table, tell
from residua.errors import ConfigError
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from residua.jobs.exported_files import Export


TRAINED = typer.Argument(
    metavar="RUN|FILE|NAME", help="A run, a folder or file of weights, or published weights by name."
)
TO = typer.Option(
    "onnx", "--to", metavar="TARGET,...", help="onnx, openvino, pt2, pt2-aoti; several with commas."
)
WITH_PREPROCESSING = typer.Option(
    False, "--with-preprocessing", help="Read uint8 images of any size: the graph resizes and normalises."
)
VERIFY = typer.Option(
    None, "--verify", metavar="DATA", help="Images to compare on; by default the run's test images."
)
INT8 = typer.Option(
    False, "--int8", help="Write int8 files of onnx and openvino, and measure top-1 before and after."
)
MAX_DROP = typer.Option(
    None, "--max-drop", metavar="POINTS", help="Top-1 that --int8 may lose, in points; 0.5 by default."
)
LAYOUT = typer.Option(
    None, "--layout", metavar="SERVER", help="Write the folder that a server reads: triton, ovms, kserve."
)
EXPLAIN = typer.Option(
    False, "--explain", help="Only list which norms are folded into convolutions, and why others stay."
)
OUT = typer.Option(
    None, "-o", "--out", metavar="DIR|FILE", help="Folder to write to; by default the current one."
)


def export(
    trained: Path = TRAINED,
    to: str = TO,
    with_preprocessing: bool = WITH_PREPROCESSING,
    verify: str = VERIFY,
    int8: bool = INT8,
    max_drop: float = MAX_DROP,
    layout: str = LAYOUT,
    explain: bool = EXPLAIN,
    out: Path = OUT,
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Write a trained network to a file that other programs run: ONNX Runtime, OpenVINO, torch.

    Each file is compared with the network on real images, in batches of 1, 2 and 5. A file that disagrees is
    not kept, and the exit code is 5.

    Example: residua export runs/photos-1 --to onnx,openvino -o exports

    Example: residua export runs/photos-1 --to onnx --with-preprocessing --verify photos/val

    Example: residua export runs/photos-1 --to openvino --int8 --layout ovms -o models
    """
    from residua.jobs.export import export_files
    from residua.jobs.export_request import ExportRequest
    from residua.predict.export import int8 as int8_export
    from residua.progress import ProgressPrinter
    from residua.spec.record import to_plain

    obtain_trained([trained])
    if explain:
        _explain(trained, as_json=as_json)
        return
    if max_drop is not None and not int8:
        raise ConfigError("--max-drop has no effect without --int8")
    request = ExportRequest(
        trained,
        tuple(name.strip() for name in to.split(",")),
        "images" if with_preprocessing else "inputs",
        int8,
        int8_export.MAX_DROP if max_drop is None else max_drop,
        verify,
        out,
        cast(Any, layout),  # the request checks it
        force,
    )
    screen = console(json_on_stdout=as_json)
    printer = ProgressPrinter(aside(screen))
    with printer.showing_bars():
        result = export_files(request, listen=printer.show)
    if as_json:
        put_json(to_plain(result))
    else:
        tell(screen, result.table())
    _print_next(result, as_json=as_json)
    result.check()


def _print_next(result: "Export", *, as_json: bool) -> None:
    """The next command for each file that `residua predict` takes."""
    commands = [command("predict", each.path, "IMAGE") for each in result.files if each.is_predictable]
    if commands:
        next_line(console(json_on_stdout=as_json), *commands)


def _explain(trained: Path, *, as_json: bool) -> None:
    """Print what becomes of each norm."""
    from residua.jobs.export import explain
    from residua.spec.record import to_plain

    norms = explain(trained)
    if as_json:
        put_json([to_plain(norm) for norm in norms])
        return
    screen = console()
    rows = [(norm.norm, norm.layer or "-", norm.reason or "folded") for norm in norms]
    show_table(screen, ("norm", "folded into", "why not"), rows)
    folded = sum(bool(norm.layer) for norm in norms)
    print(f"{folded} of {quantity(len(norms), 'norm')} folded into the layer before: they cost nothing.")
