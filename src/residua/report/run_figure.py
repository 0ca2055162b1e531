"""RunFigure: curves of a run as a drawing that a notebook shows and that can be saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residua.errors import ConfigError
from residua.files import check_output_path
from residua.report.chart import Series, plot
from residua.report.run_page import error_curve
from residua.report.standalone import SUFFIXES, write_drawing
from residua.report.training_curves import Panel, training_curves
from residua.runs.run import Run
from residua.spec.record import nearest

MAX_COLUMNS = 6
"""Most curves in one drawing: more colours cannot be told apart."""
NO_CURVE = ("epoch", "step")
"""Columns of the metrics that count."""


@dataclass(frozen=True, slots=True)
class RunFigure:
    """A drawing of a run: `save("curves.svg")` writes it, notebooks show it."""

    svg: str
    """The drawing as SVG."""
    title: str
    """What it shows."""

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the drawing to a file.

        Args:
            path: A path that ends in .svg, .pdf or .png; the last two need the extra `figures`.
            force: Replace a file that exists.

        Returns:
            The path.

        Raises:
            ConfigError: `path` ends otherwise, its folder does not exist, or the extra is not installed.
            FileExistsError: The file exists, and `force` is false.
        """
        file = Path(path)
        check_output_path(file, force=force, suffixes=SUFFIXES)
        write_drawing(self.svg, file)
        return file

    def __repr__(self) -> str:
        return f"<{self.title}; save('curves.svg') writes it>"

    def _repr_html_(self) -> str:
        """The drawing for notebooks."""
        return f'<div style="max-width: 740px; background: #ffffff">{self.svg}</div>'


def run_figure(run: Run, *names: str) -> RunFigure:
    """The curves of `run` by epoch.

    Args:
        run: The run.
        names: Columns of its metrics, e.g. `train_loss`, in one pair of axes. By default training and test
            error, or the mean average precision of a detector.

    Raises:
        ConfigError: A metric does not exist, or there are too many.
        CheckpointError: The run has finished no epoch.
    """
    rows, arch = run.epochs("epoch"), run.recipe.arch.name
    last = rows[-1]
    if not names and "train_error" in last:
        svg = training_curves((Panel(arch, (error_curve(run, arch),)),))
        return RunFigure(svg, f"error of {run.path.name} by epoch")
    chosen = names or (("test_map50",) if "test_map50" in last else ("test_error",))
    columns = [name for name in last if name not in NO_CURVE]
    for name in chosen:
        if name not in columns:
            raise ConfigError(f"no metric {name!r}: {nearest(name, columns)}")
    if len(chosen) > MAX_COLUMNS:
        raise ConfigError(f"{len(chosen)} metrics in one drawing: give at most {MAX_COLUMNS}")
    series = tuple(_series(rows, name, label=name if len(chosen) > 1 else "") for name in chosen)
    label = ", ".join(chosen)
    if run.recipe.data.inner_val_fraction and "test_" in label:
        label = f"{label} (test_: held-out training images)"
    return RunFigure(plot(series, x="epoch", y=label), f"{label} of {run.path.name} by epoch")


def _series(rows: list[dict[str, Any]], name: str, *, label: str) -> Series:
    """A metric by epoch, as a dot where one epoch is all there is."""
    points = tuple((float(row["epoch"]), float(row[name])) for row in rows if row.get(name) is not None)
    if not points:
        raise ConfigError(f"{name} has no value in this run: give another metric")
    return Series(label, points, "line" if len(points) > 1 else "dots")
