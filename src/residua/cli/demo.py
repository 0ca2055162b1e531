"""`residua demo`."""

from pathlib import Path

import typer

from residua.cli.failures import STOPPED
from residua.cli.terminal import console, next_line, put_json, say, show_table


def demo(
    out: Path = typer.Option(None, "-o", "--out", metavar="DIR", help="Folder for the runs and the report."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """See deeper get worse, and shortcuts mend it.

    Plain and residual nets on real digits: offline, no download, under a minute on two cores.

    Example: residua demo
    """
    from residua.cli.progress import ProgressPrinter, Stopper
    from residua.jobs.demo import demo as contest
    from residua.jobs.demo import verdict

    to = console(json_on_stdout=as_json, lasting=True)
    say(to, "The degradation problem (He et al. 2015): plain and residual nets on 8 × 8 digits, one recipe.")
    watcher, stopper = ProgressPrinter(to), Stopper(to)
    with watcher.watching():
        found = contest(out, listen=lambda name, event: watcher.see(event, name), stop=stopper)
    if stopper.asked:
        say(to, "stopped; the runs so far are kept")
        raise typer.Exit(STOPPED)
    errors = found.errors()
    if as_json:
        put_json({"seconds": round(found.seconds, 1), "runs": errors, "report": str(found.report)})
        return
    rows = [
        (
            str(e["model"]),
            str(run.recipe.arch.depth()),
            f"{e['train_error']:.2f} %",
            f"{e['test_error']:.2f} %",
        )
        for e, run in zip(errors, found.runs, strict=True)
    ]
    say(to, "")
    show_table(to, ("network", "layers", "training error", "test error"), rows, numeric=1)
    say(to, "")
    say(to, verdict(found.runs), "bold")
    say(to, f"{found.seconds:.0f} s; the report: {found.report}")
    next_line(to, "residua explain cifar_resnet56", "residua train FOLDER_OF_CLASSES")
