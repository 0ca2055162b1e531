"""Planted label errors in CIFAR-10: how well `residua data clean` ranks them, and what cleaning is worth.

A seeded share of the training labels is flipped to another class, evenly. `clean` sees the flipped set
alone; the official test images are never shown to it. Its suggestions are applied as they stand, nobody edits
the table. Then networks are trained on the flipped set and on the manifest, in pairs with the same recipe and
seed, and compared on the official test images: the difference of each image's hits, averaged over the pairs,
with an interval by bootstrap over the images. The whole claim is `--images 50000`; anything less is scaled
down, and is said to be. A round is a pair, with seeds 0, 1, ...
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import turns
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score

from residua.curate.actions import CleanResult
from residua.curate.apply import apply
from residua.curate.clean import CSV, CleanRequest, clean
from residua.data.open import open_dataset
from residua.data.sources.table import parse_source
from residua.events import EpochRow, Event
from residua.jobs.compare import compare
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, resume
from residua.jobs.train_request import TrainRequest
from residua.measure import resample
from residua.measure.score import Estimate
from residua.runs.run import Run

WHOLE = 50_000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Planted:
    """A label file with wrong labels, and which they are."""

    table: Path
    truth: dict[str, str]
    given: dict[str, str]

    def is_flipped(self, name: str) -> bool:
        return self.truth[name] != self.given[name]


def plant(source: str, folder: Path, images: int, share: float, seed: int) -> Planted:
    """The first `images` of a seeded order of the training images as files, `share` of them mislabelled."""
    train = open_dataset(source, val_fraction=0.2).train
    chance = np.random.default_rng(seed)
    chosen = np.sort(chance.permutation(len(train))[:images])
    shown = chance.permutation(len(chosen))[: round(share * len(chosen))]
    shift = np.zeros(len(chosen), np.int64)
    shift[shown] = chance.integers(1, len(train.classes), len(shown))
    truth, given = {}, {}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for i, by in zip(chosen.tolist(), shift.tolist(), strict=True):
        name = f"images/{i:05}.png"
        if not (folder / name).exists():
            item = train.item(i)
            assert isinstance(item, Image.Image)
            item.save(folder / name)
        label = int(train.labels[i])
        truth[name], given[name] = train.classes[label], train.classes[(label + by) % len(train.classes)]
    with (folder / "dirty.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *given.items()])
    return Planted(folder / "dirty.csv", truth, given)


def precision(planted: Planted, cleaned: CleanResult) -> float:
    """Average precision of the ranking by score, the flipped labels being what is looked for."""
    flipped = [planted.is_flipped(row.path) for row in cleaned.rows]
    return float(average_precision_score(flipped, [-(row.score or 0.0) for row in cleaned.rows]))


def suggested(planted: Planted, cleaned: CleanResult) -> str:
    """In words, what was suggested, and how much of that is right."""
    moved = [row for row in cleaned.rows if row.action == "relabel"]
    right = sum(row.suggested == planted.truth[row.path] for row in moved)
    dropped = [planted.is_flipped(row.path) for row in cleaned.rows if row.action == "drop"]
    return f"{len(moved)} relabelled, {right} rightly; {len(dropped)} dropped, {sum(dropped)} of them flipped"


def trained(wish: TrainRequest, path: Path, say: Say) -> Run:
    """The finished run at `path`; one that is there goes on."""
    run = Run(path)
    if not (path / "recipe.json").exists():
        create_run(prepare(wish), path)
    resume(path, listen=lambda event: tell(event, path.name, say))
    return run


def tell(event: Event, name: str, say: Say) -> None:
    if isinstance(event, EpochRow):
        v = event.values
        say(f"{name} epoch {v['epoch']}/{event.total}: test error {v['test_error']:.2f} %")


def worth(folder: Path, wish: TrainRequest, pairs: int, data: str, say: Say) -> turns.Rows:
    """One row: accuracy after and before in percent, means of `pairs` of runs, and their difference.

    The interval of the difference is over the test images, by bootstrap of their mean differences over the
    pairs. Ctrl-C leaves the pairs so far.
    """
    hits, interrupted = [], False
    try:
        for seed in range(pairs):
            hits.append(hits_of_pair(folder, replace(wish, changes=(("seed", str(seed)),)), seed, data, say))
    except KeyboardInterrupt:
        interrupted = True
    if hits:
        before, after = np.array(hits).mean(0)
        gain = Estimate(float((after - before).mean()), resample.mean(after - before))
        low, high = gain.interval
        what = f"accuracy after cleaning ({len(hits)} pairs: {gain.value:+.2f}, {low:+.2f} to {high:+.2f})"
        row = turns.row(what, after.mean(), before.mean(), peer_name="the flipped labels", unit="%")
        yield {**row, "rounds": len(hits)}
    if interrupted:
        raise KeyboardInterrupt


def hits_of_pair(
    folder: Path, wish: TrainRequest, seed: int, data: str, say: Say
) -> list[NDArray[np.float64]]:
    """For each test image 100 if it is classified rightly, else 0: before cleaning and after."""
    runs = [
        trained(replace(wish, source=str(folder / table)), folder / f"{name}-{seed}", say)
        for name, table in (("before", "dirty.csv"), ("after", "manifest.csv"))
    ]
    (pair,) = compare(runs, data=data)
    gain = pair.comparison.difference
    say(f"pair {seed}: {gain.value:+.2f}, {gain.interval[0]:+.2f} to {gain.interval[1]:+.2f}")
    return [100.0 * (one.predicted == one.labels) for one in (pair.first, pair.second)]


def options() -> argparse.Namespace:
    ask = turns.parser(__doc__, rounds=2)
    ask.add_argument("--data", default="cifar10", help="cifar10, cifar10:DIR or digits")
    ask.add_argument("--images", type=int, default=WHOLE, help="training images that are used")
    ask.add_argument("--epochs", type=int, default=6)
    ask.add_argument("--folds", type=int, default=3)
    ask.add_argument("--flips", type=float, default=0.05, help="share of labels that are flipped")
    ask.add_argument("--model", default="cifar_resnet20")
    ask.add_argument("--seed", type=int, default=0, help="chooses the images, and the labels to flip")
    ask.add_argument("--work", type=Path, help="folder to work in, and to go on in")
    return ask.parse_args()


def rows(args: argparse.Namespace) -> turns.Rows:
    """What was found of what was planted, and what finding it was worth."""

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as made:
        folder = args.work or Path(made)
        planted = plant(args.data, folder, args.images, args.flips, args.seed)
        recipe = "quick.digits" if args.data == "digits" else None
        wish = TrainRequest(str(planted.table), args.model, recipe, epochs=args.epochs)
        cleaned = clean(
            CleanRequest(wish, args.folds),
            folder / "clean",
            listen=lambda fold, event: tell(event, f"fold {fold + 1}", say),
            stop=lambda: False,
            progress=lambda _done, _total: None,
            force=True,
        )
        assert cleaned is not None
        ranked = precision(planted, cleaned)
        many, flips = len(planted.given), sum(map(planted.is_flipped, planted.given))
        say(f"average precision {ranked:.3f} of {flips} flips; {suggested(planted, cleaned)}")
        scaled = "" if many == WHOLE and args.data != "digits" else f", scaled down: {many} images"
        name = parse_source(args.data).label
        protocol = f"{name}, {flips} flips, {args.epochs} epochs, {args.folds} folds{scaled}"
        what = f"average precision of the ranking ({protocol})"
        yield turns.row(what, ranked, flips / many, peer_name="a random order", unit="")
        apply(folder / "clean" / CSV, folder / "manifest.csv", force=True)
        yield from worth(folder, wish, args.rounds, args.data, say)


def main() -> None:
    """Print the rows."""
    args = options()
    turns.show(rows(args), as_json=args.json)


if __name__ == "__main__":
    main()
