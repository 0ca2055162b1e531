"""Paths on the command line: patterns in quotes, names of weights, pages whose option had another name."""

from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from pathlib import Path

from residua.cli.terminal import aside, console
from residua.errors import ConfigError, DataError


def expand_patterns(paths: Iterable[Path]) -> list[Path]:
    """`paths` with each pattern such as `photos/*.jpg` or `photos/**/*.png` replaced by its matches, sorted.

    A shell does this unless the pattern is in quotes, or matches too many files. A path that exists is no
    pattern.

    Raises:
        DataError: A pattern matches nothing.
    """
    expanded: list[Path] = []
    for path in paths:
        if path.exists() or not has_magic(str(path)):
            expanded.append(path)
            continue
        matches = sorted(map(Path, glob(str(path.expanduser()), recursive=True)))
        if not matches:
            raise DataError(f"{path} matches no file: give a path or another pattern")
        expanded += matches
    return expanded


def obtain_trained(paths: Sequence[Path]) -> None:
    """Download published weights that are named among `paths` and are not here, with a bar on stderr."""
    from residua.jobs.predict import obtain
    from residua.progress import ProgressPrinter

    printer = ProgressPrinter(aside(console(json_on_stdout=True)))
    with printer.showing_bars():
        obtain(paths, listen=printer.show)


def page_path(report: Path | None, out: Path | None) -> Path | None:
    """The page to write: that of --report, or of -o, its name in residua 0.0.

    Raises:
        ConfigError: Both are given.
    """
    if report and out:
        raise ConfigError(f"the page is {report} and {out}: give --report alone")
    return report or out
