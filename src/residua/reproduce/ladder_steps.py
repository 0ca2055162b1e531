"""The steps of the ladder, measured on its runs, and each compared with the step before.

A step is tested once: which test images it gets right is kept in RUN/ladder.json, so that a page can be made
from run folders without checkpoints.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.errors import ConfigError
from residua.files import write_file
from residua.jobs.evaluate import evaluate_networks
from residua.jobs.run_pool import PoolEntry
from residua.measure.compare import Comparison, compare_outcomes, holm
from residua.measure.score import wilson
from residua.reproduce.grid import run_folder
from residua.reproduce.ladder import DATA, EXTENTS, NAME, STEPS, Step, ladder_runs
from residua.reproduce.ladder_data import (
    Cleaning,
)
from residua.reproduce.published import Budget
from residua.runs.run import Run
from residua.tasks.classify.evaluations import ClassEvaluations
from residua.tasks.predict_task import EvaluationRequest

OUTCOMES_FILE = "ladder.json"
"""In a run folder: weights and view -> which test images are right."""
CLEANING_FILE = "cleaning.json"
"""In the folder of the run `cleaned`: what was done to its labels."""


@dataclass(frozen=True, eq=False, slots=True)
class MeasuredStep:
    """A step with its test result."""

    step: Step
    """The step."""
    run: Run
    """The run that it was measured on."""
    right: NDArray[np.bool_]
    """(N,) whether each test image is right."""
    comparison: Comparison | None = None
    """With the step before; None for the first."""
    p: float = 1.0
    """McNemar's p of the comparison, corrected for the number of steps (Holm 1979)."""

    @property
    def accuracy(self) -> float:
        """Test images that are right, in percent."""
        return 100 * float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, in percent."""
        return wilson(int(self.right.sum()), len(self.right))

    @property
    def minutes(self) -> float:
        """Minutes that the run was trained for, from its recorded images per second."""
        rows = self.run.epochs("images_per_second", "step")
        steps = np.diff([0, *(row["step"] for row in rows)])
        batch = self.run.recipe.budget.batch_size
        return float(
            sum(n * batch / row["images_per_second"] for n, row in zip(steps, rows, strict=True)) / 60
        )

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        one = self.comparison
        return {
            "step": self.step.name,
            "what": self.step.label,
            "run": self.run.path.name,
            "weights": self.step.weights,
            "view": self.step.view,
            "accuracy": round(self.accuracy, 4),
            "interval": [round(end, 4) for end in self.interval],
            "n": len(self.right),
            "before": self.step.before,
            "difference": round(one.difference.value, 4) if one else None,
            "p": self.p if one else None,
            "minutes": round(self.minutes, 1),
        }


@dataclass(frozen=True, eq=False, slots=True)
class LadderReproduction:
    """The whole ladder."""

    budget: Budget
    """`smoke` or `full`."""
    steps: tuple[MeasuredStep, ...]
    """From the bottom to the top; empty where it was stopped."""
    cleaning: Cleaning | None
    """What the cleaning of labels did; None where it was stopped."""
    data: str
    """One line about the images."""
    report: Path
    """The HTML page."""
    seconds: float = 0.0
    """From the start to the report; runs that were reused cost nothing."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before all runs were finished; there is no report then."""
        return not self.steps

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "item": NAME,
            "budget": self.budget,
            "data": self.data,
            "seconds": round(self.seconds, 1),
            "steps": [step.plain() for step in self.steps],
            "cleaning": asdict(self.cleaning) if self.cleaning else None,
            "report": str(self.report),
        }


def ladder_entries(
    budget: Budget, folder: Path, sources: Mapping[str, str], *, threads: int = 1
) -> dict[str, PoolEntry]:
    """The runs of the ladder by name.

    Args:
        budget: `smoke` or `full`.
        folder: Folder of the run folders' folder, `runs`.
        sources: Name of a run -> its images.
        threads: CPU threads of one run.
    """
    entries = {}
    for name, run in ladder_runs(EXTENTS[budget]).items():
        recipe = run.recipe(sources[name], threads=threads)
        path = run_folder(folder / "runs", f"ladder-{budget}-{name}-seed0", recipe)
        entries[name] = PoolEntry(name, path, recipe)
    return entries


def finished_ladder(budget: Budget, folder: Path) -> LadderReproduction | None:
    """The ladder whose runs are finished in `folder`; None unless all are, and every step is tested."""
    entries = ladder_entries(budget, folder, dict.fromkeys(ladder_runs(EXTENTS[budget]), DATA))
    paths = {name: entry.path for name, entry in entries.items()}
    if not all(Run(path).finished for path in paths.values()):
        return None
    if any(not (paths[step.run] / OUTCOMES_FILE).is_file() for step in STEPS):
        return None
    images = Run(paths["skip"]).identity
    note = f"{images['train']:,} training and {images['test']:,} test images of {DATA}"
    return replace(measured_ladder(budget, paths), data=note)


def measured_ladder(budget: Budget, paths: Mapping[str, Path]) -> LadderReproduction:
    """Test every step that was not tested yet, and compare it with the step before.

    Args:
        budget: `smoke` or `full`.
        paths: Name of a run -> its folder; all are finished.

    Raises:
        ConfigError: A run diverged, so a step has no result.
    """
    if diverged := [name for name, path in paths.items() if not Run(path).finished]:
        raise ConfigError(f"{', '.join(diverged)} ended early: the ladder has no result for its step")
    right = {step.name: _outcomes(paths[step.run], step) for step in STEPS}
    compared = [step for step in STEPS if step.before]
    comparisons = {step.name: compare_outcomes(right[step.before], right[step.name]) for step in compared}
    corrected = dict(zip(comparisons, holm(tuple(one.p for one in comparisons.values())), strict=True))
    steps = tuple(
        MeasuredStep(
            step,
            Run(paths[step.run]),
            right[step.name],
            comparisons.get(step.name),
            corrected.get(step.name, 1.0),
        )
        for step in STEPS
    )
    file = paths["cleaned"] / CLEANING_FILE
    cleaning = Cleaning(**json.loads(file.read_text())) if file.is_file() else None
    return LadderReproduction(budget, steps, cleaning, "", Path())


def _outcomes(path: Path, step: Step) -> NDArray[np.bool_]:
    """(N,) which test images a step gets right: tested once, then read from the run folder."""
    file, key = path / OUTCOMES_FILE, f"{step.weights} {step.view}"
    known: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.is_file() else {}
    if key not in known:
        (one,) = evaluated(path, view=step.view, weights=step.weights).evaluations
        bits = np.packbits(one.predicted == one.labels).tobytes().hex()
        known[key] = {"images": len(one.labels), "right": bits}
        write_file(file, json.dumps(known, indent=1) + "\n")
    packed = np.frombuffer(bytes.fromhex(known[key]["right"]), np.uint8)
    return np.unpackbits(packed, count=known[key]["images"]).astype(bool)


def evaluated(path: Path, *, view: str = "center", weights: str = "raw") -> ClassEvaluations:
    """The predictions of the run at `path` on its test images, under one view."""
    evaluations = evaluate_networks([path], EvaluationRequest(views=(view,), weights=weights))
    assert isinstance(evaluations, ClassEvaluations), "the networks of the ladder classify images"
    return evaluations
