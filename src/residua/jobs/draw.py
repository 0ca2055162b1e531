"""Draw networks as SVG, PDF or PNG files."""

from collections.abc import Sequence
from pathlib import Path

from residua.errors import ConfigError
from residua.files import check_output_path, write_file
from residua.report import drawing
from residua.report.standalone import SUFFIXES, write_drawing
from residua.spec.arch import Arch

MAX_NETWORKS = 3
"""Networks side by side, as in He et al. 2015, fig. 3."""


def draw(
    archs: Sequence[Arch], out: Path, *, block: bool = False, fold: bool | None = None, force: bool = False
) -> None:
    """Draw networks side by side.

    Args:
        archs: At most three networks.
        out: The .svg, .pdf or .png file to write; the last two need the extra `figures`.
        block: Draw their blocks letter by letter, not their columns.
        fold: Draw equal blocks in a row once; None does so where a column would not fit a page.
        force: Replace an existing file.

    Raises:
        ConfigError: There are too many networks, or `out` cannot be written.
        FileExistsError: `out` exists, without `force`.
    """
    if len(archs) > MAX_NETWORKS:
        raise ConfigError(f"{len(archs)} networks side by side: give at most {MAX_NETWORKS}")
    check_output_path(out, force=force, suffixes=SUFFIXES)
    svg = drawing.draw_blocks(archs) if block else drawing.draw_networks(archs, fold=fold)
    if out.suffix.lower() == ".svg":
        write_file(out, svg)  # without a margin, and in the colours of a dark screen, too
    else:
        write_drawing(svg, out)
