"""Export a trained network in int8: training images calibrate, test images measure, little may be lost.

The float32 graph passes the same gate as any export first: int8 is measured against it, and must not be
measured against something else than the network.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from residua.data.images import Images
from residua.data.listing import match_classes, split_listing
from residua.data.open import find
from residua.data.sources.objects import source_and_listing
from residua.data.split import VAL_FRACTION
from residua.errors import CheckpointError, ConfigError, MissingPackageError
from residua.events import Activity, PlanLine
from residua.files import check_is_free, file_sha256
from residua.jobs.export import trained_network
from residua.nn.network import Network
from residua.predict.engines.engine import Engine
from residua.predict.export.facts import Takes
from residua.predict.export.gate import GateBatch, compare, gate_batches, with_odd_sizes
from residua.predict.export.graph import ExportGraph, export_graph
from residua.predict.export.int8 import MAX_DROP, Int8Accuracy, Int8Data, Listen
from residua.predict.export.int8_targets import Int8Target, int8_target
from residua.spec.text_table import TextTable
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.run_data import run_dataset

GATE_IMAGES = 8
"""Test images on which the float32 graph is compared with the network."""
BATCHES = (1, 16)
"""Images computed at once when the speed is measured."""
TURNS = 5
"""Times that float32 and int8 are timed, in turns; the median ratio counts."""


@dataclass(frozen=True, slots=True)
class Int8File:
    """One int8 file, and what int8 costs and gains."""

    target: str
    """What it was written for: `onnx` or `openvino`."""
    path: str
    """The file; OpenVINO has a second one beside it, which ends in .bin."""
    size: int
    """Bytes, of both files where there are two."""
    float_size: int
    """Bytes of the same in float32."""
    sha256: dict[str, str]
    """Path of each file -> its SHA-256."""
    accuracy: Int8Accuracy
    """Top-1 accuracy before and after."""
    speedup: dict[int, float]
    """Images at once -> how many times as many images per second as float32, in the same runtime, here."""
    is_predictable: bool = True
    """Whether `residua predict` takes it."""


@dataclass(frozen=True, slots=True)
class Int8Export:
    """The int8 files that were written."""

    network: str
    """Name of the network."""
    takes: Takes
    """What the graphs read."""
    files: tuple[Int8File, ...]
    """One for each target."""

    def check(self) -> None:
        """Nothing: what loses too much is an error of `export_int8`."""

    def table(self) -> TextTable:
        """One row for each target; below, what the difference may be by chance, and the digests."""
        head = ("target", "file", "size", "float32", "top-1 before", "after", "95 % interval", "speed")
        notes = [f"{each.target}: {note}" for each in self.files for note in each.accuracy.table().notes]
        notes += [
            "speed: int8 / float32 of the same runtime on this machine, at batch "
            + " and ".join(map(str, self.files[0].speedup))
        ]
        digests = [
            f"SHA-256 of {path}: {digest}" for each in self.files for path, digest in each.sha256.items()
        ]
        return TextTable(head, tuple(map(_row, self.files)), 2, (*notes, *digests))


def export_int8(
    path: Path,
    to: str | Sequence[str],
    *,
    takes: Takes,
    verify: object = None,
    max_drop: float = MAX_DROP,
    out: str | Path | None = None,
    force: bool = False,
    listen: Listen = lambda _: None,
) -> Int8Export:
    """Write a trained network to int8 files.

    Args:
        path: A run, a saved folder, a checkpoint file or published weights by name.
        to: `onnx`, `openvino` or both.
        takes: What the graphs read.
        verify: Labelled images: the training part calibrates, the test part measures. By default those of the
            run.
        max_drop: Most top-1 accuracy that may be lost, in percentage points.
        out: Folder to write to, by default the current one.
        force: Replace files that exist.
        listen: Receives the plan and the progress.

    Returns:
        The files, what int8 costs and what it gains.

    Raises:
        ConfigError: A target has no int8, the network reads clips or finds boxes, or there are no images.
        MissingPackageError: A package that quantises is not installed.
        CheckpointError: More accuracy is lost; nothing is left on disk.
        DataError: The images cannot be used.
        FileExistsError: A file exists, without `force`.
    """
    if not 0 <= max_drop <= 100:
        raise ConfigError(f"--max-drop {max_drop:g}: give percentage points from 0 to 100")
    targets = _targets(to)
    files = [Path(out or ".") / f"{_stem(path)}-int8{target.suffix}" for target in targets]
    if not files[0].parent.is_dir():
        raise ConfigError(f"{files[0].parent} is no folder: make it first, or write elsewhere")
    check_is_free(*files, force=force)
    network = trained_network(path)
    if network.arch.clip or network.preprocess.colour == "bands":
        raise ConfigError(f"{network.arch.name} reads no pictures, and --int8 calibrates with pictures alone")
    splits = _splits(path, verify, network.class_names or tuple(map(str, range(network.num_classes))))
    listen(Activity("tracing the network"))
    graph = export_graph(network, takes=takes)
    data = Int8Data.of(graph.facts, *splits)
    plan = f"{len(data.calibration)} images of {data.calibration.name} calibrate"
    listen(PlanLine(f"int8    {plan}, {len(data.test):,} of {data.test.name} measure"))
    batches = _gate_batches(network, data)
    written = []
    for target, file in zip(targets, files, strict=True):
        listen(Activity(f"writing {file.name}"))
        model = _float_model(target, graph, batches)
        written.append(_written(target, file, model, data, max_drop=max_drop, listen=listen))
    return Int8Export(network.arch.name, takes, tuple(written))


def _targets(to: str | Sequence[str]) -> list[Int8Target]:
    """The targets that are named. ConfigError or MissingPackageError before any work."""
    names = [name.strip() for name in to.split(",")] if isinstance(to, str) else list(to)
    targets = [int8_target(name) for name in dict.fromkeys(names)]
    for target in targets:
        for package in target.packages:
            if find_spec(package) is None:
                install = f"pip install 'residua[{target.name}]'"
                raise MissingPackageError(f"int8 needs {package}, which is not installed: {install}")
    return targets


def _gate_batches(network: Network, data: Int8Data) -> list[GateBatch]:
    """Some test images, and what the network computes of them."""
    count = min(GATE_IMAGES, len(data.test))
    pictures = [data.test.image(index, network.preprocess.colour) for index in range(count)]
    return gate_batches(network, with_odd_sizes(pictures), data.facts.takes)


def _float_model(target: Int8Target, graph: ExportGraph, batches: Sequence[GateBatch]) -> Any:
    """The float32 model, which agrees with the network."""
    model = target.convert(graph)
    parity = compare(target.engine(model, None).logits, batches, takes=graph.facts.takes)
    if not parity.agrees:
        raise CheckpointError(
            f"{target.name} in float32 differs by {parity.difference:.2g}: give another --to"
        )
    return model


def _stem(path: Path) -> str:
    return path.stem if path.is_file() else path.resolve().name if path.exists() else path.name


def _splits(path: Path, verify: object, classes: tuple[str, ...]) -> tuple[Images, Images]:
    """Training and test images: the run's own, or those of `verify`."""
    source, listing = (None, None) if verify is None else source_and_listing(verify)
    usage = "--verify with labelled images, to calibrate int8 and to measure it"
    dataset = run_dataset(path, listing or source, ClassifyData(), inputs="images", usage=usage)
    if dataset is not None:
        train, test = dataset.train, dataset.test
    else:
        train, test, _ = split_listing(listing or find(str(source)), val_fraction=VAL_FRACTION)
    return train, match_classes(test, classes, owner="the network")


def _written(
    target: Int8Target, file: Path, model: Any, data: Int8Data, *, max_drop: float, listen: Listen
) -> Int8File:
    """Quantise, measure, write beside the place of the file, and move it there."""
    quantised, accuracy = target.quantise(model, data, max_drop=max_drop, listen=listen)
    listen(Activity("timing int8 and float32 in turns"))
    before, after = (target.engine(each, data.input_preprocess) for each in (model, quantised))
    speedup = _speedup(before, after, next(data.batches(data.test, size=max(BATCHES))))
    with tempfile.TemporaryDirectory(prefix=".export-", dir=file.parent) as scratch:
        sizes = []
        for each in (model, quantised):
            target.save(each, Path(scratch) / file.name)
            parts = sorted(Path(scratch).iterdir(), key=lambda part: part.name == file.name)
            sizes.append(sum(part.stat().st_size for part in parts))
        digests = {str(file.with_name(part.name)): file_sha256(part) for part in parts}
        for part in parts:
            os.replace(part, file.with_name(part.name))
    return Int8File(target.name, str(file), sizes[1], sizes[0], digests, accuracy, speedup)


def _speedup(before: Engine, after: Engine, array: NDArray[np.uint8]) -> dict[int, float]:
    """How many times as fast `after` is, by the number of images at once."""
    ratios = {}
    for size in BATCHES:
        batch = np.concatenate([array] * -(-size // len(array)))[:size]
        turns = [(_seconds(before, batch), _seconds(after, batch)) for _ in range(TURNS + 1)]
        ratios[size] = median(first / second for first, second in turns[1:])  # the first turn warms up
    return ratios


def _seconds(engine: Engine, batch: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    engine.logits(batch)
    return time.perf_counter() - start


def _row(each: Int8File) -> tuple[str, ...]:
    accuracy = each.accuracy
    low, high = accuracy.after.interval
    scores = (f"{accuracy.before.top1:.2f} %", f"{accuracy.after.top1:.2f} %", f"{low:.2f} to {high:.2f} %")
    speed = " ".join(f"{ratio:.2f}x" for ratio in each.speedup.values())
    sizes = (f"{size / 2**20:.2f} MiB" for size in (each.size, each.float_size))
    return (each.target, Path(each.path).name, *sizes, *scores, speed)
