"""Reproduce one table or figure: train missing runs, measure all, compare with the paper's numbers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from residua.data.images import ImageDataset, Images
from residua.data.open import open_dataset, open_evaluation_split
from residua.data.sources.table import parse_source
from residua.errors import ConfigError
from residua.jobs.run_pool import RunListener
from residua.report.publication import write_report
from residua.reproduce import items, others
from residua.reproduce.backend import has_gpu, run_backend
from residua.reproduce.bibtex import bibliography
from residua.reproduce.grid import (
    GridSetting,
    run_entries,
    with_one_precision,
)
from residua.reproduce.listing import default_seeds
from residua.reproduce.measured import Reproduction, count_row, reproduce_row, require_same_images
from residua.reproduce.others_page import OthersReproduction
from residua.reproduce.others_page import page as page_of_others
from residua.reproduce.published import ADDED, BUDGETS, Budget, Item, with_networks
from residua.runs.run import Run
from residua.spec.describe import cost
from residua.spec.record import nearest
from residua.tasks.classify.learn_task import SMALL
from residua.training.processes import world
from residua.weights import catalogue

FOLDER = Path("runs/reproduce")
"""Default folder of runs and reports."""


def reproduce(
    name: str,
    *,
    budget: Budget = "smoke",
    seeds: int | None = None,
    data: str | None = None,
    processes: int | None = None,
    out: str | Path = FOLDER,
    ray: str | None = None,
    networks: Sequence[str] = (),
    listen: RunListener = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Reproduction:
    """Reproduce a table or figure of the papers and write a page about it.

    Runs are in `out/runs`: a finished one is reused, an interrupted one is resumed. This function starts
    processes, so a script calls it under `if __name__ == "__main__"`.

    Args:
        name: The item, e.g. `he2015/fig6`.
        budget: `smoke` (minutes on digits), `small` (a short schedule) or `full` (the paper's schedule).
        seeds: Runs of each network; None takes 3 of each that takes minutes, else 1.
        data: What `residua train` takes; None means `digits` at the budget `smoke`; other budgets need it.
        processes: Runs trained at the same time; None takes one per core, or one where there is a GPU.
        out: Folder of runs and reports.
        ray: Address of a Ray cluster (`auto`, `local` or host:port) whose machines share `out`; None trains
            in processes of this machine.
        networks: Further networks to train or count beside those of the item, by name with changes where
            wanted (`cifar_resnet110:order=b`), or as JSON files.
        listen: Receives the name of a run and each of its Events.
        stop: Asked regularly; True saves all runs and stops.

    Returns:
        The reproduced rows; with `stopped` set where `stop` returned True.

    Raises:
        ConfigError: The item, the budget or another argument cannot be used.
        DataError: The images changed since a run began, or cannot be used.
    """
    started, folder = time.monotonic(), Path(out)
    item = with_networks(_checked_item(name, budget, seeds, processes), networks)
    added = dict.fromkeys(row.network.name for row in item.rows if row.remark == ADDED)
    report = folder / f"{'-'.join((name.replace('/', '-'), budget, *added))}.html"
    if not item.datasets:
        rows = tuple(count_row(row) for row in item.rows)
        return _write_page(Reproduction(item, GridSetting("digits", True, budget), rows, "", report, 0.0))
    dataset, setting, workers = _open_data(item, budget, data, processes)
    counts = seeds or default_seeds(item, budget, small_images=setting.has_small_images)
    entries = run_entries(item, setting, folder / "runs", seeds=counts)
    missing = [entry for entry in with_one_precision(entries.values()) if not Run(entry.path).finished]
    if missing:
        missing.sort(key=lambda entry: -cost(entry.recipe.arch).macs)  # longest first: workers end together
        with run_backend(min(workers, len(missing)), ray, setting.threads) as backend:
            backend.train(missing, listen=listen, stop=stop)
    if stop():
        return Reproduction(item, setting, (), dataset.note, report, time.monotonic() - started, stopped=True)
    runs = {key: Run(entry.path) for key, entry in entries.items()}
    require_same_images(runs.values())
    rows = tuple(reproduce_row(item, row, setting, runs, seeds=counts) for row in item.rows)
    return _write_page(Reproduction(item, setting, rows, dataset.note, report, time.monotonic() - started))


def reproduce_from_weights(
    name: str,
    *,
    where: str = "",
    data: str | None = None,
    out: str | Path = FOLDER,
    all_images: bool = False,
    listen: Callable[[str], None] = lambda _: None,
) -> OthersReproduction:
    """Measure the networks of a table or figure that others trained, and write a page about them.

    Nothing is trained. What was measured is kept in `out/weights` and used again.

    Args:
        name: The item: figures 1, 6 and 7 or table 6 of He et al. 2015.
        where: A folder with their files; names of the catalogue with commas between them; or empty for all
            that the caches of this machine hold.
        data: The test images: `cifar10[:DIR]`. They are needed where something was not measured yet.
        out: Folder of what was measured and of the page.
        all_images: Whether all test images count the errors, which takes minutes, not 1,000 of them.
        listen: Called with a line for each network.

    Returns:
        The measured rows.

    Raises:
        ConfigError: No weights are known for the item, none was found, or `data` is needed or another.
        DataError: The images cannot be used.
    """
    started, folder, item = time.monotonic(), Path(out), items.find_item(name)
    files, missing = others.find_files(item, where)
    pairs = [(row, entry) for row, entry in others.entries_of(item) if entry.name in files]
    studies = others.studies_of(pairs, item)
    if data is not None and parse_source(data).label != item.datasets[0]:
        raise ConfigError(
            f"{name} is about {item.datasets[0]}, and --data is {data}: give {item.datasets[0]}"
        )

    @cache
    def test_images() -> Images:
        classes = catalogue.class_names(pairs[0][1])
        if data is None:
            needed = item.datasets[0]
            raise ConfigError(f"{name} needs {needed}: give --data {needed}:DIR, or {needed} to download it")
        return open_evaluation_split(parse_source(data).absolute(), classes=classes)

    rows = []
    for row, entry in pairs:
        network = others.measure_once(
            entry.name,
            files[entry.name],
            test_images,
            folder / others.FOLDER,
            studies=studies[entry.name],
            all_images=all_images,
        )
        listen(f"{entry.name}: {network.wrong:,} of {network.images:,} test images wrong")
        rows.append((row, network))
    report = folder / f"{name.replace('/', '-')}-weights.html"
    counts = sorted({network.images for _, network in rows})
    note = f"{' or '.join(f'{count:,}' for count in counts)} test images of {item.datasets[0]}"
    names = tuple(dict.fromkeys(entry.name for _, entry in missing))
    reproduction = OthersReproduction(item, tuple(rows), names, note, report)
    write_report(page_of_others(reproduction), report, bibliography=bibliography(item.paper))
    return replace(reproduction, seconds=time.monotonic() - started)


def _checked_item(name: str, budget: str, seeds: int | None, processes: int | None) -> Item:
    """The item called `name`; ConfigError where it or another argument cannot be used."""
    item = items.find_item(name)
    if budget not in BUDGETS:
        raise ConfigError(f"no budget {budget!r}: {nearest(budget, BUDGETS)}")
    for what, number in (("seeds", seeds), ("processes", processes)):
        if number is not None and number < 1:
            raise ConfigError(f"{what} is {number}: give at least 1")
    if source := items.DATA_WITHOUT_SCHEDULE.get((*item.datasets, "")[0]):
        raise ConfigError(
            f"{name} needs {item.datasets[0]}, and no schedule for its networks is known: train them, e.g. "
            f"`residua train {source}:DIR -m {item.rows[-1].network.name}`"
        )
    return item


def _open_data(
    item: Item, budget: Budget, data: str | None, processes: int | None
) -> tuple[ImageDataset, GridSetting, int]:
    """The images, the setting of the runs, and how many are trained at the same time."""
    source = data if data is not None else _default_source(item, budget)
    if not any(row.is_trained_at(budget) for row in item.rows):
        raise ConfigError(f"{item.name} trains nothing at the budget {budget}: give --budget full")
    dataset = open_dataset(parse_source(source).absolute(), val_fraction=0.2)
    workers = processes or (1 if has_gpu() else world.available_cores())
    return (
        dataset,
        GridSetting(source, dataset.size <= SMALL, budget, max(1, world.available_cores() // workers)),
        workers,
    )


def _default_source(item: Item, budget: Budget) -> str:
    if budget == "smoke":
        return "digits"
    needed = item.datasets[0]
    hint = (
        "imagenet:DIR, or any folder of classes"
        if needed == "imagenet"
        else f"{needed}:DIR, or {needed} to download it"
    )
    raise ConfigError(f"{item.name} at {budget} needs {needed}: give --data {hint}")


def _write_page(reproduction: Reproduction) -> Reproduction:
    from residua.reproduce.page import page

    entries = bibliography(reproduction.item.paper)
    write_report(page(reproduction), reproduction.report, bibliography=entries)
    return reproduction
