"""`residua reproduce project/...`: experiments that are no table or figure of a paper."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from residua.cli.failures import STOPPED
from residua.cli.terminal import aside, console, next_line, put_json, say, show_table

if TYPE_CHECKING:
    from rich.console import Console

    from residua.cli.progress import Stopper
    from residua.jobs.run_pool import RunListener
    from residua.reproduce.published import Budget


def climb_ladder(
    budget: "Budget", data: str | None, processes: int | None, out: Path, ray: str | None, *, as_json: bool
) -> None:
    """`project/ladder`."""
    from residua.reproduce.ladder_page import HEAD, cleaning_sentence, result_sentences, table_rows
    from residua.reproduce.ladder_runs import reproduce_ladder

    to = console(json_on_stdout=as_json, unbroken=True)
    with _training(to, f"project/ladder, budget {budget}, one run each; runs in {out / 'runs'}") as training:
        listen, stop = training
        ladder = reproduce_ladder(
            budget=budget, data=data, processes=processes, out=out, ray=ray, listen=listen, stop=stop
        )
    _exit_if(to, stopped=not ladder.steps)
    if as_json:
        put_json(ladder.plain())
        return
    show_table(to, HEAD, table_rows(ladder))
    say(to, "")
    for sentence in result_sentences(ladder):
        say(to, sentence, "bold")
    say(to, cleaning_sentence(ladder))
    say_files(to, ladder.seconds, ladder.report)
    next_line(to, "residua reproduce --list")


def drive_highway(
    budget: "Budget", data: str | None, processes: int | None, out: Path, ray: str | None, *, as_json: bool
) -> None:
    """`project/highway`; `processes` and `ray` are refused before."""
    from residua.reproduce.highway import reproduce_highway, result_sentences

    to = console(json_on_stdout=as_json, unbroken=True)
    with _training(to, f"project/highway, budget {budget}, one run each; runs in {out / 'runs'}") as training:
        listen, stop = training
        highway = reproduce_highway(budget=budget, data=data, out=out, listen=listen, stop=stop)
    _exit_if(to, stopped=not highway.norms)
    if as_json:
        put_json(highway.plain())
        return
    for sentence in result_sentences(highway):
        say(to, sentence, "bold")
    say_files(to, highway.seconds, highway.report)
    next_line(to, "residua reproduce he2015/fig6 --from weights --data cifar10")


@contextmanager
def _training(to: "Console", line: str) -> Iterator[tuple["RunListener", "Stopper"]]:
    """Bars while runs are trained: what listens to them, and what stops them on Ctrl-C."""
    from residua.cli.progress import Stopper
    from residua.progress import ProgressPrinter

    say(aside(to), line)
    printer, stopper = ProgressPrinter(aside(to)), Stopper(to)
    with printer.showing_bars():
        yield (lambda name, event: printer.show(event, name)), stopper


def _exit_if(to: "Console", *, stopped: bool) -> None:
    if stopped:
        say(to, "stopped and saved; the same command resumes")
        raise typer.Exit(STOPPED)


def say_files(to: "Console", seconds: float, report: Path) -> None:
    """Where the report is, and its figures and tables."""
    from residua.report.publication import publication_folder
    from residua.report.standalone import can_convert

    say(to, f"{seconds:.0f} s; the report: {report}")
    kinds = "SVG, PDF and PNG" if can_convert() else "SVG"
    say(to, f"figures as {kinds}, tables as LaTeX: {publication_folder(report)}")
    if not can_convert():
        say(aside(to), "PDF and PNG: pip install 'residua[figures]', and the library cairo", "dim")
