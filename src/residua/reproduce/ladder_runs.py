"""Train the runs of the ladder, clean the labels of one of them, and write the page.

    halves of the bad half: fold-1, fold-2     trained first: their predictions clean the labels
        |
    cleaned images                             written like the other images, as files of CIFAR-10
        |
    all other runs                             the longest first
        |
    RUN/cleaning.json, and the page            from the steps, which ladder_steps.py measures

A finished run is never trained again.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from residua.data.images import Images
from residua.data.open import open_dataset
from residua.data.sources.table import parse_source
from residua.errors import ConfigError
from residua.files import write_file
from residua.jobs.run_pool import PoolEntry, RunListener
from residua.report.publication import write_report
from residua.reproduce.backend import has_gpu, run_backend
from residua.reproduce.grid import with_one_precision
from residua.reproduce.ladder import DATA, EXTENTS, FOLDS, NAME, Extent, LadderRun, ladder_runs
from residua.reproduce.ladder_data import (
    clean_half,
    flipped_half,
    part_of,
    variant_images,
    write_cifar,
)
from residua.reproduce.ladder_page import page
from residua.reproduce.ladder_steps import (
    CLEANING_FILE,
    LadderReproduction,
    evaluated,
    ladder_entries,
    measured_ladder,
)
from residua.reproduce.published import Budget
from residua.runs.run import Run
from residua.spec.describe import cost
from residua.training.processes import world


def reproduce_ladder(
    *,
    budget: Budget = "smoke",
    data: str | None = None,
    processes: int | None = None,
    out: str | Path,
    ray: str | None = None,
    listen: RunListener = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> LadderReproduction:
    """Climb the ladder and write a page about it. It starts processes, as `reproduce` does.

    Args:
        budget: `smoke` (a tenth of the images, narrow networks, minutes) or `full`.
        data: `cifar10[:DIR]`.
        processes: Runs trained at the same time; None takes one per core, or one where there is a GPU.
        out: Folder of runs, images and the page.
        ray: Address of a Ray cluster whose machines share `out`; None trains in processes of this machine.
        listen: Receives the name of a run and each of its Events.
        stop: Asked regularly; True saves all runs and stops.

    Returns:
        The measured steps; without any where `stop` returned True.

    Raises:
        ConfigError: The budget or the data cannot be used.
        DataError: The images cannot be used.
    """
    started, folder = time.monotonic(), Path(out).absolute()
    extent = EXTENTS.get(budget)
    if extent is None:
        raise ConfigError(f"{NAME} has no budget {budget!r}: give {' or '.join(EXTENTS)}")
    if data is None or parse_source(data).label != DATA:
        raise ConfigError(f"{NAME} needs {DATA}: give --data {DATA}:DIR, or {DATA} to download it")
    source = str(parse_source(data).absolute())
    images = part_of(open_dataset(source, val_fraction=0.2), extent.images)
    workers = processes or (1 if has_gpu() else world.available_cores())
    threads = max(1, world.available_cores() // workers)
    sources = {
        name: source if run.variant == "all" and not extent.images else _written(folder, budget, run)
        for name, run in ladder_runs(extent).items()
    }
    entries = ladder_entries(budget, folder, sources, threads=threads)
    precise = with_one_precision(entries.values(), timed=entries["strong"], images=len(images[0]))
    entries = dict(zip(entries, precise, strict=True))
    with run_backend(min(workers, len(entries)), ray, threads) as backend:
        for names in (FOLDS, tuple(entries)):  # in the second round the folds are finished
            missing = [name for name in names if not Run(entries[name].path).finished]
            for name in missing:
                if sources[name] != source:
                    _write_images(name, extent, entries, images)
            missing.sort(key=lambda name: -_work(extent, name))  # longest first: workers end together
            backend.train([entries[name] for name in missing], listen=listen, stop=stop)
            if stop():
                return LadderReproduction(budget, (), None, "", Path())
    paths = {name: entry.path for name, entry in entries.items()}
    written = _place(entries["cleaned"]) / CLEANING_FILE
    if written.is_file():
        write_file(paths["cleaned"] / CLEANING_FILE, written.read_bytes())
    note = f"{len(images[0]):,} training and {len(images[1]):,} test images of {DATA}"
    report = folder / f"{NAME.replace('/', '-')}-{budget}.html"
    ladder = replace(measured_ladder(budget, paths), data=note, report=report)
    write_report(page(ladder), report)
    return replace(ladder, seconds=time.monotonic() - started)


def _write_images(
    name: str, extent: Extent, entries: Mapping[str, PoolEntry], images: tuple[Images, Images]
) -> None:
    """Write the images of the run called `name`; those of `cleaned` need the finished folds."""
    train, test = images
    place = _place(entries[name])

    def cleaned() -> Images:
        half = flipped_half(train)
        probabilities = np.zeros((len(half.images), len(train.classes)), np.float32)
        for fold, rows in zip(FOLDS, (half.fold, ~half.fold), strict=True):
            probabilities[rows] = evaluated(entries[fold].path).evaluations[0].probabilities
        rest, cleaning = clean_half(half, probabilities)
        place.mkdir(parents=True, exist_ok=True)
        write_file(place / CLEANING_FILE, json.dumps(asdict(cleaning)) + "\n")
        return rest

    variant = ladder_runs(extent)[name].variant
    anew = variant == "cleaned"  # its labels follow from other runs, which may have been trained again
    write_cifar(place, *variant_images(variant, train, test, cleaned=cleaned), anew=anew)


def _place(entry: PoolEntry) -> Path:
    """The folder of the images of a run."""
    return Path(parse_source(entry.recipe.data.source).place or "")


def _written(folder: Path, budget: Budget, run: LadderRun) -> str:
    """The source of a run whose images are written."""
    return f"{DATA}:{folder / 'data' / f'ladder-{budget}-{run.variant}'}"


def _work(extent: Extent, name: str) -> float:
    run = ladder_runs(extent)[name]
    return cost(run.arch).macs * run.updates
