"""`residua demo`."""

from pathlib import Path

import typer

from residua.cli.failures import STOPPED
from residua.cli.options import JSON
from residua.cli.terminal import aside, console, next_line, put_json, say, show_table
from residua.files import check_output_folder


def demo(
    out: Path = typer.Option(None, "-o", "--out", metavar="DIR", help="Folder for the runs and the report."),
    as_json: bool = JSON,
) -> None:
    """Train plain and residual nets on digits: deeper plain nets get worse, residual nets do not.

    Works offline, without a download, in under a minute on two cores.

    Example: residua demo
    """
    from residua.cli.progress import Stopper
    from residua.jobs import demo as job
    from residua.progress import ProgressPrinter

    check_output_folder(out)
    to = console(json_on_stdout=as_json, unbroken=True)
    say(
        aside(to),
        "The degradation problem (He et al. 2015): plain and residual nets on 8 × 8 digits, one recipe.",
    )
    printer, stopper = ProgressPrinter(aside(to)), Stopper(to)
    with printer.showing_bars():
        comparison = job.demo(out, listen=lambda name, event: printer.show(event, name), stop=stopper)
    if stopper.is_requested:
        say(to, "stopped; the runs are saved")
        raise typer.Exit(STOPPED)
    errors = comparison.errors()
    if as_json:
        put_json({"seconds": round(comparison.seconds, 1), "runs": errors, "report": str(comparison.report)})
        return
    rows = [
        (
            str(e["model"]),
            str(run.recipe.arch.depth()),
            f"{e['train_error']:.2f} %",
            f"{e['test_error']:.2f} %",
        )
        for e, run in zip(errors, comparison.runs, strict=True)
    ]
    say(to, "")
    show_table(to, ("network", "layers", "training error", "test error"), rows, numeric=1)
    say(to, "")
    say(to, job.demo_conclusion(comparison.runs), "bold")
    say(to, f"{comparison.seconds:.0f} s; the report: {comparison.report}")
    next_line(to, "residua explain cifar_resnet56", "residua train FOLDER_OF_CLASSES")
