"""`residua export`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from residua.cli.options import FORCE, JSON
from residua.cli.paths import obtain_trained
from residua.cli.terminal import aside, command, console, next_line, put_json, show_table, tell
from residua.errors import ConfigError
from residua.spec.amount import quantity

if TYPE_CHECKING:
    from residua.jobs.export import Export


def export(
    trained: Path = typer.Argument(
        metavar="RUN|FILE|NAME", help="A run, a folder or file of weights, or published weights by name."
    ),
    to: str = typer.Option(
        "onnx", "--to", metavar="TARGET,...", help="onnx, openvino, pt2, pt2-aoti; several with commas."
    ),
    with_preprocessing: bool = typer.Option(
        False, "--with-preprocessing", help="Read uint8 images of any size: the graph resizes and normalises."
    ),
    verify: str = typer.Option(
        None, "--verify", metavar="DATA", help="Images to compare on; by default the run's test images."
    ),
    int8: bool = typer.Option(
        False, "--int8", help="Write int8 files of onnx and openvino, and measure top-1 before and after."
    ),
    max_drop: float = typer.Option(
        None, "--max-drop", metavar="POINTS", help="Top-1 that --int8 may lose, in points; 0.5 by default."
    ),
    explain: bool = typer.Option(
        False, "--explain", help="Only list which norms are folded into convolutions, and why others stay."
    ),
    out: Path = typer.Option(
        None, "-o", "--out", metavar="DIR|FILE", help="Folder to write to; by default the current one."
    ),
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Write a trained network to a file that other programs run: ONNX Runtime, OpenVINO, torch.

    Each file is compared with the network on real images, in batches of 1, 2 and 5. A file that disagrees is
    not kept, and the exit code is 5.

    Example: residua export runs/photos-1 --to onnx,openvino -o exports

    Example: residua export runs/photos-1 --to onnx --with-preprocessing --verify photos/val
    """
    from residua.jobs.export import export_files
    from residua.progress import ProgressPrinter
    from residua.spec.record import to_plain

    obtain_trained([trained])
    if explain:
        _explain(trained, as_json=as_json)
        return
    screen = console(json_on_stdout=as_json)
    printer = ProgressPrinter(aside(screen))
    write = _int8_writer(max_drop) if int8 else export_files
    if max_drop is not None and not int8:
        raise ConfigError("--max-drop has no effect without --int8")
    with printer.showing_bars():
        result = write(
            trained,
            to,
            takes="images" if with_preprocessing else "inputs",
            verify=verify,
            out=out,
            force=force,
            listen=printer.show,
        )
    if as_json:
        put_json(to_plain(result))
    else:
        tell(screen, result.table())
    _print_next(result, as_json=as_json)
    result.check()


def _int8_writer(max_drop: float | None) -> Callable[..., Any]:
    """`export_files` for int8."""
    from residua.jobs.export_int8 import export_int8
    from residua.predict.export.int8 import MAX_DROP

    return partial(export_int8, max_drop=MAX_DROP if max_drop is None else max_drop)


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
