"""The great gradient highway: gradient norms over depth and training time, plain and residual.

The gradient of the loss at the input of every block is measured before training and after every epoch, on the
same test images, while both networks of 56 layers are trained alike. That is a short training, scaled down.
The norms of networks that others trained in full are in figures 1 and 6 of He et al. 2015, `--from weights`.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from residua import recipes
from residua.analyse.gradients import gradient_norms
from residua.data.open import open_dataset
from residua.data.sources.table import parse_source
from residua.errors import ConfigError
from residua.events import EpochRow, Event
from residua.files import write_file
from residua.jobs.analyse import subject_of
from residua.jobs.prepare import prepare
from residua.jobs.run_pool import RunListener
from residua.jobs.train import create_run, fit_run, load_run
from residua.jobs.train_request import TrainRequest
from residua.recipes.sentences import sentences
from residua.report.chart import Series, plot
from residua.report.page import Code, Figure, Figures, Page, Section, Text
from residua.report.publication import write_report
from residua.reproduce.grid import run_folder
from residua.reproduce.ladder_data import part_of, write_cifar
from residua.reproduce.published import Budget
from residua.runs.run import Run
from residua.spec import zoo
from residua.spec.recipe import Plan, Recipe
from residua.version import __version__

NAME = "project/highway"
"""What `residua reproduce` calls it."""
TITLE = "the great gradient highway: gradient norms over depth and training time"
"""One line: what it shows."""
DATA = "cifar10"
"""The data set it is about."""
NETWORKS: Mapping[str, str] = {"plain-56": "cifar_plain56", "ResNet-56": "cifar_resnet56"}
"""Label -> name in the zoo."""
PAPER_BATCH = 128
"""Images of an update in He et al. 2016; the learning rate is in proportion."""
IMAGES = 125
"""Test images of a measurement: a batch, for batch norms need one."""
LINES = 5
"""Times that a figure shows, at most."""
GRADIENTS_FILE = "gradients.json"
"""In a run folder: epoch -> gradient norms by block; 0 is before training."""


@dataclass(frozen=True, slots=True)
class HighwayExtent:
    """How much is trained at a budget."""

    epochs: int
    """Epochs of both networks."""
    batch: int
    """Images of an update."""
    images: tuple[int, int] | None
    """Training and test images that are used; None for all."""


EXTENTS: Mapping[Budget, HighwayExtent] = {
    "smoke": HighwayExtent(5, 32, (2_000, 1_000)),
    "small": HighwayExtent(8, 128, None),
}
"""Budget -> extent; both are scaled down, and our choice."""


@dataclass(frozen=True, slots=True)
class Highway:
    """Gradient norms of both networks."""

    budget: Budget
    """Length of the training."""
    runs: Mapping[str, Run]
    """Label -> its run."""
    norms: Mapping[str, Mapping[int, tuple[float, ...]]]
    """Label -> epoch, 0 before training -> norm at the input of each block; empty where it was stopped."""
    data: str
    """One line about the images."""
    report: Path = Path()
    """The HTML page."""
    seconds: float = 0.0
    """From the start to the report."""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "item": NAME,
            "budget": self.budget,
            "data": self.data,
            "seconds": round(self.seconds, 1),
            "norms": {
                label: {str(k): list(v) for k, v in rows.items()} for label, rows in self.norms.items()
            },
            "report": str(self.report),
        }


def reproduce_highway(
    *,
    budget: Budget = "smoke",
    data: str | None = None,
    out: str | Path,
    listen: RunListener = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Highway:
    """Train both networks one after the other, measure their gradients after every epoch, and write a page.

    Args:
        budget: `smoke` (2,000 images) or `small` (all).
        data: `cifar10[:DIR]`.
        out: Folder of runs, images and the page.
        listen: Receives the name of a run and each of its Events.
        stop: Asked regularly; True saves the run and stops.

    Returns:
        The gradient norms; none where `stop` returned True.

    Raises:
        ConfigError: The budget or the data cannot be used.
        DataError: The images cannot be used.
        DivergedError: A loss is no longer finite.
    """
    started, folder, extent = time.monotonic(), Path(out).absolute(), EXTENTS.get(budget)
    if extent is None:
        raise ConfigError(f"{NAME} has no budget {budget!r}: give {' or '.join(EXTENTS)}")
    if data is None or parse_source(data).label != DATA:
        raise ConfigError(f"{NAME} needs {DATA}: give --data {DATA}:DIR, or {DATA} to download it")
    source = str(parse_source(data).absolute())
    train, test = part_of(open_dataset(source, val_fraction=0.2), extent.images)
    if extent.images:
        place = folder / "data" / f"{DATA}-{len(train)}"
        write_cifar(place, train, test)
        source = f"{DATA}:{place}"
    runs = _runs(budget, source, folder)
    for label, (run, recipe) in runs.items():
        _train(label, run, recipe, listen, stop)
        if stop():
            return Highway(budget, {}, {}, "")
    highway = _read(budget, {label: run for label, (run, _) in runs.items()})
    report = folder / f"{NAME.replace('/', '-')}-{budget}.html"
    highway = replace(highway, report=report, seconds=time.monotonic() - started)
    write_report(page(highway), report)
    return highway


def _runs(budget: Budget, source: str, folder: Path) -> dict[str, tuple[Run, Recipe]]:
    """Label -> its run and its recipe: that of He et al. 2016, shortened, with a warm-up of a tenth."""
    runs = {}
    for label, name in NETWORKS.items():
        recipe = recipes.recipe("he2016.cifar", zoo.arch(name), source)
        extent = EXTENTS[budget]
        length = replace(recipe.budget, steps=0, epochs=extent.epochs, batch_size=extent.batch)
        warmup = replace(recipe.schedule, warmup=0.1)
        plan = Plan(memory_format="channels_last", precision="float32")
        optim = replace(recipe.optim, lr=recipe.optim.lr * extent.batch / PAPER_BATCH)
        recipe = replace(recipe, budget=length, optim=optim, schedule=warmup, plan=plan)
        runs[label] = Run(run_folder(folder / "runs", f"highway-{budget}-{name}-seed0", recipe)), recipe
    return runs


def _train(label: str, run: Run, recipe: Recipe, listen: RunListener, stop: Callable[[], bool]) -> None:
    """Train a run to its end, and write its gradient norms after every epoch."""
    if run.finished:
        return
    if (run.path / "recipe.json").exists():
        prepared = load_run(run)
    else:
        prepared = prepare(TrainRequest(recipe.data.source, recipe.arch, recipe))
        create_run(prepared, run.path)
    file = run.path / GRADIENTS_FILE
    norms: dict[str, list[float]] = json.loads(file.read_text()) if file.is_file() else {}

    def measure(epoch: int) -> None:
        subject = subject_of(label, prepared.network, prepared.dataset.test, count=IMAGES)
        signals = gradient_norms(prepared.network, subject.inputs, subject.labels).signals
        norms[str(epoch)] = [float(f"{value:.6g}") for value in signals]
        write_file(file, json.dumps(norms) + "\n")

    def handle(event: Event) -> None:
        if isinstance(event, EpochRow):
            measure(int(event.values["epoch"]))
        listen(label, event)

    if not norms:
        measure(0)
    fit_run(run, prepared, listen=handle, stop=stop)


def finished_highway(budget: Budget, folder: Path) -> Highway | None:
    """The gradient norms of finished runs in `folder`; None unless both are finished."""
    runs = {label: run for label, (run, _) in _runs(budget, DATA, folder).items()}
    if not all(run.finished and (run.path / GRADIENTS_FILE).is_file() for run in runs.values()):
        return None
    return _read(budget, runs)


def _read(budget: Budget, runs: Mapping[str, Run]) -> Highway:
    norms = {
        label: {
            int(epoch): tuple(values)
            for epoch, values in json.loads((run.path / GRADIENTS_FILE).read_text()).items()
        }
        for label, run in runs.items()
    }
    first = next(iter(runs.values())).identity
    data = f"{int(first['train']):,} training and {int(first['test']):,} test images of {DATA}"
    return Highway(budget, runs, norms, data)


def highway_figures(highway: Highway) -> tuple[Figure, ...]:
    """One chart for each network: norms by block, a line for each of a few times, on equal axes."""
    values = [norm for rows in highway.norms.values() for row in rows.values() for norm in row]
    return tuple(_figure(label, rows, values) for label, rows in highway.norms.items())


def _figure(label: str, rows: Mapping[int, tuple[float, ...]], values: list[float]) -> Figure:
    last = max(rows)
    times = sorted({round(last * place / (LINES - 1)) for place in range(LINES)})
    series = tuple(
        Series(
            "before" if not epoch else f"epoch {epoch}",
            tuple((float(block), norm) for block, norm in enumerate(rows[epoch], 1)),
            colour=place,
        )
        for place, epoch in enumerate(times)
        if epoch in rows
    )
    svg = plot(series, x="block", y=f"{label}: gradient norm per image", logarithmic=True, scaled_to=values)
    text = "; ".join(
        f"{name}: first block over last {_ratio(rows[epoch]):.2g}" for name, epoch in _ends(last)
    )
    return Figure(svg, f"{label}, by block from the image to the classes.", text)


def _ends(last: int) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("before training", 0), (f"after epoch {last}", last)


def _ratio(norms: tuple[float, ...]) -> float:
    return norms[0] / max(norms[-1], 1e-300)


def result_sentences(highway: Highway) -> tuple[str, ...]:
    """Ratios of the first block's norm to the last one's, and the errors."""
    return tuple(
        f"{label}: gradient norm at the first block over that at the last "
        + ", ".join(f"{_ratio(rows[epoch]):.2g} {name}" for name, epoch in _ends(max(rows)))
        + f"; training error {highway.runs[label].epochs('train_error')[-1]['train_error']:.2f} %."
        for label, rows in highway.norms.items()
    )


EXPLANATION = (
    "Each line is one moment of training: the norm of the loss's gradient at the input of each block, per "
    "image, in train mode on one batch of test images. By a shortcut the gradient reaches every block "
    "directly: dE/dx_l = dE/dx_L (1 + d/dx_l ΣF) (He et al. 2016, equation 5). The 1 is no lower bound, it "
    "is only unlikely to be cancelled. Nor are vanishing gradients why deep plain networks train worse: with "
    "batch norm the authors found healthy norms (He et al. 2015, 4.1). Few epochs on few images, as here, "
    "show the beginning of training alone. Networks that others trained in full have the same figure in "
    "he2015/fig6, from weights."
)
"""How to read the figures, and what not to conclude."""


def command(highway: Highway) -> str:
    """The command that repeats it."""
    return f"residua reproduce {NAME} --budget {highway.budget} --data {DATA}"


def page(highway: Highway) -> Page:
    """The page of both networks."""
    run = next(iter(highway.runs.values()))
    environment = run.environment
    making = Text((" ".join(sentences(run.recipe)), f"{environment.hardware}; {environment.software}."))
    results = (Figures(highway_figures(highway)), Text((*result_sentences(highway), EXPLANATION)))
    sections = (
        Section("Results", results),
        Section("How it was made", (making, Code(command(highway), "Repeat it:"))),
    )
    lead = f"An experiment of ours, scaled down: {highway.data}."
    title = f"{TITLE[0].upper()}{TITLE[1:]}"
    return Page(title, lead, sections, f"{NAME}, written by residua {__version__}.")
