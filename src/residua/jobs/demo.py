"""The demo: plain and residual nets of growing depth on digits (after He et al. 2015, figures 1 and 6)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from residua.data.images import ImageDataset
from residua.data.open import open_dataset
from residua.files import next_free, write_file
from residua.jobs.run_pool import PoolEntry, Probabilities, RunListener, RunPool
from residua.measure.evaluation import Evaluation
from residua.recipes.quick import digits
from residua.report.page import Code, Figure, Page, Pictures, Section, Table, Text, render
from residua.report.run_page import architecture_table, error_curve
from residua.report.training_curves import Panel, training_curves
from residua.runs.run import Run
from residua.spec import zoo
from residua.spec.describe import cost
from residua.tasks.classify.pages import picture
from residua.training.processes import world

DEPTHS = (20, 56)
"""Depths of the pairs that are always trained."""
EXTRA_DEPTH = 110
"""Depth of a pair that is trained where the machine is fast enough."""
TRAINING_SECONDS = 50.0
"""Time for all training, without the report. Ours: the demo stays under a minute."""


@dataclass(frozen=True, eq=False, slots=True)
class DemoComparison:
    """Plain and residual nets of the same depths, trained with one recipe."""

    seconds: float
    """From the start to the report."""
    runs: tuple[Run, ...]
    """One run per network, plain nets first at every depth."""
    report: Path
    """The HTML page."""

    def errors(self) -> list[dict[str, object]]:
        """`model`, `train_error` and `test_error` (in percent, after the last epoch) of each run."""
        return [
            {
                "model": run.recipe.arch.name,
                "train_error": run.metrics[-1]["train_error"],
                "test_error": run.metrics[-1]["test_error"],
            }
            for run in self.runs
        ]


def demo(
    out: str | Path | None = None,
    *,
    listen: RunListener = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> DemoComparison:
    """Train plain and residual nets of 20 and 56 layers on digits, and of 110 layers where time allows.

    All have the same recipe and seed. A plain and a residual net are trained at the same time, each in its
    own process, so a script calls this under `if __name__ == "__main__"`.

    Args:
        out: Folder for the runs and `report.html`; None takes the first free `runs/demo-N`.
        listen: Receives the name of a network and each Event of its run.
        stop: Asked regularly; True saves the runs and stops.

    Returns:
        The runs and the report; no report is written where `stop` returned True.

    Raises:
        FileExistsError: `out` holds a demo already.
    """
    start = time.monotonic()
    folder = Path(out) if out else next_free(Path("runs"), "demo")
    if (folder / "report.html").exists():
        raise FileExistsError(f"{folder} holds a demo already: choose another -o")
    trained: list[tuple[Run, Probabilities]] = []
    with RunPool(processes=min(2, world.available_cores())) as pool:
        for depth in (*DEPTHS, EXTRA_DEPTH):
            elapsed = time.monotonic() - start
            estimate = elapsed * (1 + EXTRA_DEPTH / sum(DEPTHS))
            if stop() or (depth == EXTRA_DEPTH and estimate > TRAINING_SECONDS):
                break
            names = [f"cifar_{family}{depth}" for family in ("plain", "resnet")]
            entries = [PoolEntry(name, folder / name, digits(zoo.arch(name), "digits")) for name in names]
            trained += pool.train(entries, listen=listen, stop=stop)
    runs = tuple(run for run, _ in trained)
    if not stop():
        dataset = open_dataset("digits", val_fraction=runs[0].recipe.data.val_fraction)
        evaluated = [(run, Evaluation.from_probabilities(p, dataset.test)) for run, p in trained]
        write_file(folder / "report.html", render(demo_page(dataset, evaluated, time.monotonic() - start)))
    return DemoComparison(time.monotonic() - start, runs, folder / "report.html")


def demo_panels(runs: tuple[Run, ...]) -> tuple[Panel, ...]:
    """The training curves of the plain nets and of the residual nets of a demo."""
    panels = []
    for family, title in (("plain", "Plain networks"), ("resnet", "Residual networks")):
        members = [run for run in runs if family in run.recipe.arch.name]
        curves = tuple(error_curve(run, f"{family}-{run.recipe.arch.depth()}") for run in members)
        panels.append(Panel(title, curves))
    return tuple(panels)


def demo_conclusion(runs: tuple[Run, ...]) -> str:
    """One sentence on the training errors of `runs`: whether they show the degradation problem."""
    errors = {run.recipe.arch.name: run.metrics[-1]["train_error"] for run in runs}
    plain20, plain56, resnet56 = (errors[f"cifar_{name}"] for name in ("plain20", "plain56", "resnet56"))
    if plain56 > plain20 and plain56 > resnet56:
        return (
            f"Thirty-six more layers took the plain net's training error from {plain20:.1f} % "
            f"to {plain56:.1f} %; with shortcuts the same 56 layers reach {resnet56:.1f} %."
        )
    return (
        f"The effect did not appear this time: plain-20 ended at {plain20:.1f} % training error, plain-56 at "
        f"{plain56:.1f} %, ResNet-56 at {resnet56:.1f} %."
    )


def demo_page(dataset: ImageDataset, trained: list[tuple[Run, Evaluation]], seconds: float) -> Page:
    """The report of a demo.

    Args:
        dataset: The digits.
        trained: The runs with their predictions on the test digits.
        seconds: How long training took.
    """
    runs = tuple(run for run, _ in trained)
    rows = tuple(_row(run) for run in runs)
    recipe = runs[0].recipe
    n = len(dataset.test)
    table = Table(
        ("network", "parameters", "training error", "test error"),
        rows,
        f"After {recipe.budget.epochs} epochs. Test: {n} images, one centre crop. One seed.",
        numeric=(1, 2, 3),
    )
    figure = Figure(
        training_curves(demo_panels(runs)),
        "Thin: training error; bold: test error. After He et al. 2015, figure 6, scaled down.",
        demo_conclusion(runs),
    )
    nets = tuple(architecture_table(run.recipe.arch) for run in runs if run.recipe.arch.depth() == 56)
    sections = (
        Section("What happened", (Text((demo_conclusion(runs),)), figure, table)),
        Section("Why it matters", (Text(_WHY),)),
        Section("The two 56-layer networks", nets),
        Section("What they predict", _examples(dataset, trained)),
        Section("What to try next", (Text(_NEXT), Code(_COMMANDS))),
    )
    lead = (
        f"{len(dataset.train):,} real handwritten digits of 8 × 8 pixels, {len(runs)} networks, one recipe "
        f"({recipe.name}, seed {recipe.seed}), {seconds:.0f} seconds on this machine."
    )
    footer = "Made by `residua demo`. Different data and a far shorter schedule than the paper's."
    return Page("Deeper got worse, until layers could be skipped", lead, sections, footer)


_WHY = (
    "A deep net could copy a shallow one and let its other layers pass the values on. So a deeper net "
    "should never have the higher training error. Where it has, overfitting is not the cause: training "
    "itself failed to find a solution that exists. He et al. (2015) call this the degradation problem.",
    "A residual block adds its input to its output: it starts near the identity and does not have to learn "
    "it. Nothing else differs between the two columns: same layers, parameters, data, data order and recipe.",
    "Vanishing gradients are often named as the cause. The authors argue that this is unlikely here: every "
    "convolution is followed by batch normalization, and they found the gradients of their plain nets "
    "healthy (section 4.1).",
)
_NEXT = ("Train the same networks on your own photographs, or on CIFAR-10, the data of the paper's figure:",)
_COMMANDS = """residua train cifar10:DIR -m cifar_plain56
residua train cifar10:DIR -m cifar_resnet56 --recipe he2015.cifar
residua train FOLDER_OF_CLASSES
residua explain cifar_resnet56"""


def _row(run: Run) -> tuple[str, ...]:
    arch, last = run.recipe.arch, run.metrics[-1]
    params = cost(arch).params
    return (
        arch.name,
        f"{params / 1e6:.2f} M",
        f"{last['train_error']:.2f} %",
        f"{last['test_error']:.2f} %",
    )


def _examples(dataset: ImageDataset, trained: list[tuple[Run, Evaluation]]) -> tuple[Text | Pictures, ...]:
    """Test digits with the predictions of the deepest plain and the deepest residual net."""
    plain = [predictions for run, predictions in trained if "plain" in run.recipe.arch.name][-1]
    residual_run, residual = [pair for pair in trained if "resnet" in pair[0].recipe.arch.name][-1]
    residual_wrong = np.flatnonzero(residual.predicted != residual.labels)[:4]
    only_plain_wrong = np.flatnonzero(
        (residual.predicted == residual.labels) & (plain.predicted != plain.labels)
    )
    depth, classes = residual_run.recipe.arch.depth(), dataset.test.classes
    pictures = []
    for i in [*only_plain_wrong[: 12 - len(residual_wrong)], *residual_wrong]:
        names = [classes[index] for index in (residual.labels[i], residual.predicted[i], plain.predicted[i])]
        lines = (f"label: {names[0]}", f"ResNet-{depth}: {names[1]}", f"plain-{depth}: {names[2]}")
        pictures.append(replace(picture(residual, int(i)), lines=lines))
    caption = "Test digits that the plain net gets wrong, and up to four that the residual net gets wrong."
    return (Pictures(tuple(pictures), caption),)
