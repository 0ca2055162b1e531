"""Drawing networks into a file."""

from collections.abc import Sequence
from pathlib import Path

from residua.report import drawing
from residua.runs.run import write
from residua.spec.arch import Arch

MOST = 3
"""Networks side by side, as in He et al. 2015, fig. 3."""


def draw(
    archs: Sequence[Arch], out: Path, *, block: bool = False, fold: bool | None = None, force: bool = False
) -> None:
    """Draw `archs` side by side into the SVG file `out`; with `block`, their blocks letter by letter.

    `fold` draws equal blocks in a row once; None does so where a column would not fit a page. ValueError for
    another suffix, a missing folder or too many networks; FileExistsError unless `force`.
    """
    if len(archs) > MOST:
        raise ValueError(f"{len(archs)} networks side by side: give at most {MOST}")
    if out.suffix != ".svg":
        raise ValueError(f"{out} ends in {out.suffix!r}: give a name that ends in .svg")
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} is no folder: make it first, or write elsewhere")
    if out.exists() and not force:
        raise FileExistsError(f"{out} is there already: give --force to replace it")
    write(out, drawing.blocks(archs) if block else drawing.networks(archs, fold=fold))
