"""The degradation problem, live: plain and residual nets on real digits (He et al. 2015, fig. 1 and 6)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from residua.data.sources.table import ImageDataset, open_dataset
from residua.jobs.run_pool import Listen, PoolEntry, RunPool
from residua.measure.evaluate import Judgement
from residua.recipes.quick import digits
from residua.report.page import Code, Figure, Page, Pictures, Section, Table, Text, render
from residua.report.run_page import architecture, curve
from residua.report.training_figures import Panel, training_curves
from residua.runs.run import Run, next_free, write
from residua.spec import zoo
from residua.spec.describe import cost
from residua.tasks.classify.pages import picture
from residua.training.processes import world

DEPTHS = (20, 56)
"""The pairs that are always trained."""
DEEPER = 110
"""Trained too where the machine is fast enough."""
PATIENCE = 50.0
"""Seconds that all of it may take, the report left out."""


@dataclass(frozen=True, eq=False, slots=True)
class DemoComparison:
    """What came out."""

    seconds: float
    """From the first image to the report."""
    runs: tuple[Run, ...]
    """One run per network, plain nets first at every depth."""
    report: Path
    """The page that shows it."""

    def errors(self) -> list[dict[str, object]]:
        """Model, training error and test error of the last epoch, in percent, of each run."""
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
    listen: Listen = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> DemoComparison:
    """Train plain and residual nets of 20 and 56 layers, and 110 where time allows, on digits, and report.

    The same recipe and seed for all; a plain net and its residual twin train side by side, in a process
    each, so a script calls this under `if __name__ == "__main__"`. `out` is a folder for the runs and
    `report.html`; else the first free `runs/demo-N`. FileExistsError when it holds a demo already.
    """
    start = time.monotonic()
    folder = Path(out) if out else next_free(Path("runs"), "demo")
    if (folder / "report.html").exists():
        raise FileExistsError(f"{folder} holds a demo already: choose another -o")
    trained: list[tuple[Run, Judgement]] = []
    with RunPool(processes=min(2, world.cores())) as pool:
        for depth in (*DEPTHS, DEEPER):
            lasted = time.monotonic() - start
            if stop() or (depth == DEEPER and lasted * (1 + DEEPER / sum(DEPTHS)) > PATIENCE):
                break
            names = [f"cifar_{family}{depth}" for family in ("plain", "resnet")]
            entries = [PoolEntry(name, folder / name, digits(zoo.arch(name), "digits")) for name in names]
            trained += pool.train(entries, listen=listen, stop=stop)
    runs = tuple(run for run, _ in trained)
    if not stop():
        dataset = open_dataset("digits", holdout=runs[0].recipe.data.val_fraction)
        write(folder / "report.html", render(page(dataset, trained, time.monotonic() - start)))
    return DemoComparison(time.monotonic() - start, runs, folder / "report.html")


def panels(runs: tuple[Run, ...]) -> tuple[Panel, ...]:
    """The two halves of the figure: plain nets and residual nets."""
    found = []
    for family, title in (("plain", "Plain networks"), ("resnet", "Residual networks")):
        mine = [run for run in runs if family in run.recipe.arch.name]
        curves = tuple(curve(r, f"{family}-{r.recipe.arch.depth()}") for r in mine)
        found.append(Panel(title, curves))
    return tuple(found)


def verdict(runs: tuple[Run, ...]) -> str:
    """One sentence that says what the numbers of `runs` show, whatever they show."""
    last = {run.recipe.arch.name: run.metrics[-1]["train_error"] for run in runs}
    shallow, deep = last["cifar_plain20"], last["cifar_plain56"]
    rescued = last["cifar_resnet56"]
    if deep > shallow and deep > rescued:
        return (
            f"Thirty-six more layers took the plain net's training error from {shallow:.1f} % "
            f"to {deep:.1f} %; with shortcuts the same 56 layers reach {rescued:.1f} %."
        )
    return (
        f"This time the effect did not show: plain-20 ended at {shallow:.1f} % training error, plain-56 at "
        f"{deep:.1f} %, ResNet-56 at {rescued:.1f} %."
    )


def page(dataset: ImageDataset, trained: list[tuple[Run, Judgement]], seconds: float) -> Page:
    """The report of a contest."""
    runs = tuple(run for run, _ in trained)
    rows = tuple(_row(run) for run in runs)
    recipe = runs[0].recipe
    n = len(dataset.test)
    table = Table(
        ("network", "parameters", "training error", "test error"),
        rows,
        f"After {recipe.budget.epochs} epochs; test: {n} images, one centre crop; one seed.",
        numeric=(1, 2, 3),
    )
    figure = Figure(
        training_curves(panels(runs)),
        "Thin: training error; bold: test error. After He et al. 2015, figure 6, scaled down.",
        verdict(runs),
    )
    nets = tuple(architecture(run.recipe.arch) for run in runs if run.recipe.arch.depth() == 56)
    sections = (
        Section("What happened", (Text((verdict(runs),)), figure, table)),
        Section("Why it matters", (Text(_WHY),)),
        Section("The two 56-layer networks", nets),
        Section("What they say of digits", _examples(dataset, trained)),
        Section("What to try next", (Text(_NEXT), Code(_COMMANDS))),
    )
    lead = (
        f"{len(dataset.train):,} real handwritten digits of 8 × 8 pixels, {len(runs)} networks, one recipe "
        f"({recipe.name}, seed {recipe.seed}), {seconds:.0f} seconds on this machine."
    )
    footer = "Made by `residua demo`. Different data and a far shorter schedule than the paper's."
    return Page("Deeper got worse, until layers could be skipped", lead, sections, footer)


_WHY = (
    "Any deep net could copy a shallow one and pass its values through the layers it has left. So a deeper "
    "net should never have the higher training error. When it does, it is not overfitting: training itself "
    "has failed to find what is there. He et al. (2015) called this the degradation problem.",
    "A residual block adds its input to its output, so doing nothing is what it starts from, not what it "
    "must learn. Nothing else differs between the two columns: the same layers, parameters, data, order "
    "and recipe.",
    "It is tempting to blame vanishing gradients. The authors argue that this is unlikely here: every "
    "convolution is followed by batch normalisation, and they found the gradients of their plain nets "
    "healthy (section 4.1).",
)
_NEXT = ("The same on real photographs of your own, or on CIFAR-10, the data of the paper's figure:",)
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


def _examples(dataset: ImageDataset, trained: list[tuple[Run, Judgement]]) -> tuple[Text | Pictures, ...]:
    """The same digits, seen by the deepest plain and the deepest residual net."""
    plain = [j for run, j in trained if "plain" in run.recipe.arch.name][-1]
    residual_run, residual = [(run, j) for run, j in trained if "resnet" in run.recipe.arch.name][-1]
    hard = np.flatnonzero(residual.guesses != residual.labels)[:4]
    easy = np.flatnonzero((residual.guesses == residual.labels) & (plain.guesses != plain.labels))
    chosen = [*easy[: 12 - len(hard)], *hard]
    depth = residual_run.recipe.arch.depth()
    items = []
    for i in chosen:
        shown = picture(dataset.test, int(i), residual)
        said = dataset.test.classes[plain.guesses[i]]
        lines = (shown.lines[0], f"ResNet-{depth} {shown.lines[1]}", f"plain-{depth} said {said}")
        items.append(replace(shown, lines=lines))
    caption = "Test digits that the plain net missed, and all (up to four) that the residual net missed."
    return (Pictures(tuple(items), caption),)
