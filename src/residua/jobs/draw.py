"""Drawing networks into a file."""

from collections.abc import Sequence
from pathlib import Path

from residua.files import check_output_path, write_file
from residua.report import drawing
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
    check_output_path(out, force=force, suffixes=(".svg",))
    write_file(out, drawing.draw_blocks(archs) if block else drawing.draw_networks(archs, fold=fold))
