"""Networks that others trained for an item's rows: found by their digest, judged here on the test images.

entries_of(item)     rows of the catalogue whose network is one of the item's, with option A, for CIFAR-10
    |
find_files(...)      a folder, or the caches of this machine
    |
measure_once(...)    wrong answers on 1,000 or all test images; responses, gradients, paths, lesions on a few
    |
DIR/weights/NAME.json   measured once; everything on a page or in the docs is made from these files
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from residua.data.images import Images
from residua.errors import ConfigError
from residua.files import file_sha256, write_file
from residua.measure.score import wilson
from residua.reproduce.published import Item, PublishedRow
from residua.spec.change import with_shortcut
from residua.spec.named_network import arch_of
from residua.weights import catalogue
from residua.weights.catalogue import ReleasedWeights

LABEL = "others' weights, judged here"
"""Label of a number that was measured here on weights that others trained."""
SOURCE = "weights"
"""What `--from` takes, alone or with a folder or names behind a colon."""
FOLDER = "weights"
"""Folder of the measured values, beside `runs`."""
DATA = "CIFAR-10"
"""What the weights must have been trained on."""
STUDY_IMAGES = 125
"""Test images of a study, at most."""
ROUNDING = 0.005
"""What a recorded error may be off, in percent."""
TEST_IMAGES = 1000
"""Test images that count errors, at most, unless all are asked for: in seconds, within about 1.7 points."""
BATCH = 64
"""Test images computed at once: their maps fit into the caches of a processor core."""
STUDIES: Mapping[str, tuple[str, ...]] = {
    "he2015/fig1": ("gradients",),
    "he2015/fig6": ("gradients", "lesion", "paths"),
    "he2015/fig7": ("responses",),
    "he2015/table6": (),
}
"""Item -> studies of its networks; items that are missing have no weights of others."""
SLOW_STUDIES, PAIR = ("lesion", "paths"), ("plain-56", "ResNet-56")
"""Studies of one pair of rows alone, of an owner who trained both; the others are of all networks."""


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """One network that others trained, with what was measured here."""

    name: str
    """Its name in the catalogue."""
    sha256: str
    """Digest of its file."""
    wrong: int
    """Test images whose predicted class is not their label."""
    images: int
    """Test images."""
    curve: tuple[tuple[float, float, float], ...] = ()
    """Epoch from 1 on, training error and test error in percent, as its owner recorded them; may be empty."""
    studies: Mapping[str, Any] | None = None
    """Name of a study -> what it measured, as JSON values."""

    @property
    def entry(self) -> ReleasedWeights:
        """Its row in the catalogue."""
        return catalogue.find(self.name)

    @property
    def owner(self) -> str:
        """Who trained it."""
        return owner_of(self.entry)

    @property
    def error(self) -> float:
        """Test error measured here, in percent."""
        return 100 * self.wrong / self.images

    @property
    def train_error(self) -> float | None:
        """Training error that its owner recorded after the last epoch, in percent; None without a curve."""
        return self.curve[-1][1] if self.curve else None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def entries_of(item: Item) -> list[tuple[PublishedRow, ReleasedWeights]]:
    """The weights in the catalogue for the rows of `item`: the paper's network in either kind of option A.

    Raises:
        ConfigError: No weights are known for this item.
    """
    if item.name not in STUDIES:
        raise ConfigError(
            f"no weights of others are known for {item.name}: they are for {', '.join(STUDIES)}"
        )
    return [
        (row, entry)
        for row in item.rows
        for entry in catalogue.entries(f"{row.network.name}.*")
        if entry.training_data == DATA and _is_the_papers(row, entry)
    ]


def studies_of(pairs: Sequence[tuple[PublishedRow, ReleasedWeights]], item: Item) -> dict[str, list[str]]:
    """Name of each network of `pairs` -> its studies for `item`."""
    owners = [{owner_of(entry) for row, entry in pairs if row.label == label} for label in PAIR]
    both = set.intersection(*owners)
    return {
        entry.name: [
            study
            for study in STUDIES[item.name]
            if study not in SLOW_STUDIES or (row.label in PAIR and owner_of(entry) in both)
        ]
        for row, entry in pairs
    }


def owner_of(entry: ReleasedWeights) -> str:
    """Who trained the weights: the second part of their name."""
    return entry.name.split(".")[1]


def _is_the_papers(row: PublishedRow, entry: ReleasedWeights) -> bool:
    """Whether the weights are of the network of `row`, wherever the zeros of its option A are."""
    paper, theirs = arch_of(row.network.name), arch_of(entry.model).stages
    is_after = bool(paper.residual_blocks()) and theirs == with_shortcut(paper, "A_after").stages
    return theirs == paper.stages or is_after


def find_files(
    item: Item, where: str = ""
) -> tuple[dict[str, Path], list[tuple[PublishedRow, ReleasedWeights]]]:
    """The files of weights for `item` on this machine.

    Args:
        item: The table or figure.
        where: A folder with such files, at any depth; or names of the catalogue with commas between them;
            or empty for all that the caches of this machine hold.

    Returns:
        Name in the catalogue -> file; and the rows whose weights were not found.

    Raises:
        ConfigError: None was found; the message says how to get them.
    """
    pairs = entries_of(item)
    if where and not (folder := Path(where)).is_dir():
        if len(folder.parts) > 1:
            raise ConfigError(f"no folder {where}: give --from {SOURCE}:DIR, or names of `residua weights`")
        chosen = {entry.name for text in where.split(",") for entry in _named(text)}
        pairs = [(row, entry) for row, entry in pairs if entry.name in chosen]
        if not pairs:
            raise ConfigError(f"{where} is no folder and names no weights for {item.name}")
        where = ""
    from residua.weights import fetch

    files: dict[str, Path] = {}
    for _, entry in pairs:
        file = _in_folder(folder, entry) if where else fetch.cached(entry)
        if file:
            files[entry.name] = file
    if not files:
        names = " ".join(dict.fromkeys(entry.name for _, entry in pairs))
        raise ConfigError(
            f"no weights for {item.name} in {where or 'the caches of this machine'}: "
            f"`residua weights get {names}`, or give --from {SOURCE}:DIR"
        )
    return files, [(row, entry) for row, entry in pairs if entry.name not in files]


def _named(text: str) -> list[ReleasedWeights]:
    return catalogue.entries(text.strip()) or [catalogue.find(text)]


def _in_folder(folder: Path, entry: ReleasedWeights) -> Path | None:
    """The file of `entry` below `folder`: with its name there or at its owner's, and its digest if known."""
    theirs = {entry.file, *(url.rpartition("/")[2] for url in entry.urls)}
    for name in sorted(theirs):
        for file in sorted(folder.rglob(name)):
            if file_sha256(file).startswith(entry.sha256):
                return file
    return None


def recorded_curve(file: Path, errors: tuple[float, float]) -> tuple[tuple[float, float, float], ...]:
    """The training curve that an owner keeps near a file of weights: a table with its name, in CSV.

    Args:
        file: The weights.
        errors: Lowest and highest test error in percent that they may have; a curve that ends elsewhere is of
            other weights.

    Returns:
        Epoch from 1 on, training error and test error in percent; empty where there is none.
    """
    for folder in (file.parent, file.parent.parent / "results"):
        table = folder / f"{file.stem}.csv"
        if not table.is_file():
            continue
        with table.open(newline="") as lines:
            rows = [
                (float(row["epoch"]) + 1, 100 * float(row["train_err"]), 100 * float(row["test_err"]))
                for row in csv.DictReader(lines)
            ]
        if rows and errors[0] < rows[-1][2] + ROUNDING and rows[-1][2] - ROUNDING < errors[1]:
            return tuple((epoch, round(train, 4), round(test, 4)) for epoch, train, test in rows)
    return ()


def measure_once(
    name: str,
    file: Path,
    test: Callable[[], Images],
    folder: Path,
    *,
    studies: Sequence[str],
    all_images: bool = False,
) -> MeasuredNetwork:
    """Measure a network once: what `folder` holds of it already is used again.

    Args:
        name: Its name in the catalogue.
        file: Its weights.
        test: Opens the test images.
        folder: Folder of the measured values.
        studies: Names of studies.
        all_images: Whether all test images count its errors, not TEST_IMAGES of them.

    Returns:
        The network with what was measured.
    """
    earlier, digest = read_measured(folder / f"{name}.json"), file_sha256(file)
    network = earlier if earlier and earlier.sha256 == digest else MeasuredNetwork(name, digest, 0, 0)
    if all_images and network.images <= TEST_IMAGES:
        network = replace(network, images=0)
    if not network.images or set(studies) - set(network.studies or {}):
        network = _measure(network, file, test(), studies, count=0 if all_images else TEST_IMAGES)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{name}.json", json.dumps(network.plain(), allow_nan=False) + "\n")
    return network


def read_measured(file: Path) -> MeasuredNetwork | None:
    """The network that was measured into `file`; None where there is no such file."""
    if not file.is_file():
        return None
    plain = json.loads(file.read_text())
    return MeasuredNetwork(**plain | {"curve": tuple(map(tuple, plain["curve"]))})


def _measure(
    network: MeasuredNetwork, file: Path, test: Images, studies: Sequence[str], *, count: int
) -> MeasuredNetwork:
    """`network` with its errors on `count` images of `test`, 0 for all, and with those of `studies` that fit
    it."""
    import torch

    from residua.analyse.study import as_json
    from residua.analyse.table import find_study
    from residua.jobs.analyse import subject_of
    from residua.nn.network import build
    from residua.weights.load import load
    from residua.weights.named import entry_arch

    entry = network.entry
    model = build(entry_arch(entry)).eval()
    load(model, file, source=entry.dialect)
    if not network.images:
        subject = subject_of(network.name, model, test, count=count)
        with torch.inference_mode():
            pairs = zip(torch.split(subject.inputs, BATCH), torch.split(subject.labels, BATCH), strict=True)
            wrong = sum(int((model(inputs).argmax(1) != labels).sum()) for inputs, labels in pairs)
        images, (low, high) = len(subject.labels), wilson(wrong, len(subject.labels))
        error = 100 * wrong / images
        curve = recorded_curve(file, (error, error) if images == len(test) else (low, high))
        network = replace(network, wrong=wrong, images=images, curve=curve)
    few, measured = subject_of(network.name, model, test, count=STUDY_IMAGES), dict(network.studies or {})
    for name in studies:
        try:
            measured[name] = measured.get(name) or _rounded(as_json(find_study(name).measure(few)))
        except ConfigError:  # a plain network has no paths
            measured[name] = None
    return replace(network, studies=measured)


def _rounded(value: Any) -> Any:
    """JSON values with six digits, so that a committed file is small."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
