"""Quantise a trained network: training images calibrate, test images measure, little may be lost.

The float32 graph passes the same gate as any export first: int8 is measured against it, and must not be
measured against something else than the network.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from residua.data.images import Images
from residua.data.listing import match_classes, split_listing
from residua.data.open import find
from residua.data.sources.objects import source_and_listing
from residua.data.split import VAL_FRACTION
from residua.errors import CheckpointError, ConfigError
from residua.events import Activity, Listen, PlanLine
from residua.jobs.export_request import ExportRequest
from residua.jobs.exported_files import Int8Result
from residua.nn.network import Network
from residua.predict.engines.engine import Engine
from residua.predict.export import gate
from residua.predict.export.gate import GateBatch, Parity, compare, gate_batches, with_odd_sizes
from residua.predict.export.graph import ExportGraph
from residua.predict.export.int8 import Int8Data
from residua.predict.export.int8_targets import int8_target
from residua.predict.export.targets import Target
from residua.predict.exported import load_exported
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.run_data import run_dataset

GATE_IMAGES = 8
"""Test images on which the float32 graph is compared with the network."""
BATCHES = (1, 16)
"""Images computed at once when the speed is measured."""
TURNS = 5
"""Times that float32 and int8 are timed, in turns; the median ratio counts."""


def int8_writer(
    request: ExportRequest, network: Network, graph: ExportGraph, listen: Listen
) -> tuple[Callable[[Target, Path], tuple[Parity, Int8Result]], str]:
    """What writes int8 files, and which images measure them.

    Args:
        request: Most accuracy that may be lost, and labelled images; by default those of the run.
        network: The network.
        graph: The same as a graph.
        listen: Receives the plan and the progress.

    Returns:
        A function that writes the file of a target, and the description of the images.

    Raises:
        ConfigError: The network reads no pictures, or there are no images.
        DataError: The images cannot be used.
    """
    if network.arch.clip or network.preprocess.colour == "bands":
        raise ConfigError(f"{network.arch.name} reads no pictures, and --int8 calibrates with pictures alone")
    data = Int8Data.of(graph.facts, *_splits(request.trained, request.verify, network.classes))
    images = f"{len(data.test):,} of {data.test.name}"
    listen(
        PlanLine(
            f"int8    {len(data.calibration)} images of {data.calibration.name} calibrate, {images} measure"
        )
    )
    batches = _gate_batches(network, data)

    def write(target: Target, file: Path) -> tuple[Parity, Int8Result]:
        return _write(target, file, graph, data, batches, max_drop=request.max_drop, listen=listen)

    return write, images


def _gate_batches(network: Network, data: Int8Data) -> list[GateBatch]:
    """Some test images, and what the network computes of them."""
    count = min(GATE_IMAGES, len(data.test))
    pictures = [data.test.image(index, network.preprocess.colour) for index in range(count)]
    return gate_batches(network, with_odd_sizes(pictures), data.facts.takes)


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


def _write(
    target: Target,
    file: Path,
    graph: ExportGraph,
    data: Int8Data,
    batches: list[GateBatch],
    *,
    max_drop: float,
    listen: Listen,
) -> tuple[Parity, Int8Result]:
    """Quantise, measure, write and load. CheckpointError where accuracy is lost or the file differs."""
    runtime = int8_target(target.name)
    model = runtime.convert(graph)
    parity = compare(runtime.engine(model, None).logits, batches, takes=data.facts.takes)
    if not parity.agrees:
        raise CheckpointError(
            f"{target.name} in float32 differs by {parity.difference:.2g}: give another --to"
        )
    quantised, accuracy = runtime.quantise(model, data, max_drop=max_drop, listen=listen)
    listen(Activity("timing int8 and float32 in turns"))
    before, after = (runtime.engine(each, data.input_preprocess) for each in (model, quantised))
    speedup = _speedup(before, after, next(data.batches(data.test, size=max(BATCHES))))
    runtime.save(model, file)
    float_size = sum(part.stat().st_size for part in file.parent.iterdir())
    runtime.save(quantised, file)
    _check_saved(file, after, next(data.batches(data.test)))
    return parity, Int8Result(float_size, accuracy, speedup)


def _check_saved(file: Path, engine: Engine, array: NDArray[np.uint8]) -> None:
    """CheckpointError unless the file, loaded as people load it, computes what was measured."""
    arrays = [_repeated(array, count) for count in gate.BATCHES]
    batches = [GateBatch(each, engine.logits(each)) for each in arrays]
    parity = compare(load_exported(file).engine.logits, batches, takes="inputs")
    if not parity.agrees:
        raise CheckpointError(
            f"{file.name} computes other logits once it is loaded, by {parity.difference:.2g} "
            f"({parity.tolerance:.2g} are allowed): it is not kept, export it again"
        )


def _repeated(array: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """`count` of the examples in `array`, over and over."""
    return np.concatenate([array] * -(-count // len(array)))[:count]


def _speedup(before: Engine, after: Engine, array: NDArray[np.uint8]) -> dict[int, float]:
    """How many times as fast `after` is, by the number of images at once."""
    ratios = {}
    for size in BATCHES:
        batch = _repeated(array, size)
        turns = [(_seconds(before, batch), _seconds(after, batch)) for _ in range(TURNS + 1)]
        ratios[size] = median(first / second for first, second in turns[1:])  # the first turn warms up
    return ratios


def _seconds(engine: Engine, batch: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    engine.logits(batch)
    return time.perf_counter() - start
