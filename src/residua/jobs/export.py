"""Export a trained network: trace it, write a file for each target, and keep what agrees with the network."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from residua import tasks
from residua.data.images import Images
from residua.data.listing import evaluation_split
from residua.data.open import find
from residua.data.sources.objects import source_and_listing
from residua.errors import ConfigError, ResiduaError
from residua.events import Activity, Listen, Note, PlanLine
from residua.files import file_sha256
from residua.jobs.evaluate import Trained, paths_of
from residua.jobs.export_int8 import int8_writer
from residua.jobs.export_request import ExportRequest
from residua.jobs.exported_files import Export, ExportedFile, Int8Result
from residua.nn.network import Network
from residua.nn.summary import describe_classes
from residua.predict.engines.folding import NormFolding, fold_norms
from residua.predict.export.facts import ExportFacts, Takes
from residua.predict.export.gate import (
    GateBatch,
    Parity,
    clip_batches,
    compare,
    gate_batches,
    generated_photos,
    with_odd_sizes,
)
from residua.predict.export.graph import ExportGraph, export_graph
from residua.predict.export.int8 import MAX_DROP
from residua.predict.export.layouts import Layout, write_layout
from residua.predict.export.targets import Target
from residua.runs.run import RECIPE

GATE_IMAGES = 24
"""Images on which a file is compared with the network, besides those of odd sizes."""

Write = Callable[[Target, Path], tuple[Parity, Int8Result | None]]
"""Writes the file of a target, and compares it."""


def export(
    trained: Trained,
    to: str | Sequence[str] = "onnx",
    *,
    with_preprocessing: bool = False,
    int8: bool = False,
    max_drop: float = MAX_DROP,
    layout: Layout | None = None,
    verify: object = None,
    out: str | Path | None = None,
    force: bool = False,
    listen: Listen = lambda _: None,
) -> Export:
    """Write a trained network to files that other programs run, and check that they compute the same.

    Args:
        trained: A run, a saved folder, a checkpoint file or published weights by name.
        to: `onnx`, `openvino`, `pt2` (torch.export) or `pt2-aoti` (compiled for this processor); several in a
            list, or separated by commas.
        with_preprocessing: The graph reads uint8 images (n, H, W, C) of any size, and resizes, crops and
            normalises them itself; otherwise it reads normalised float32 (n, C, S, S).
        int8: Files of `onnx` and `openvino` compute in 8 bits: training images calibrate them, labelled test
            images measure top-1 before and after.
        max_drop: Of int8: most top-1 accuracy that may be lost, in percentage points.
        layout: `triton`, `ovms` (OpenVINO Model Server) or `kserve`: write the folder that this server reads.
        verify: Images on which the files are compared, as a source or as `residua.train` takes them; by
            default the test images of a run, else generated ones. int8 needs labelled ones: the training part
            calibrates, the test part measures.
        out: Folder to write to, by default the current one; for one target also a file.
        force: Replace files that exist.
        listen: Receives the plan and the progress.

    Returns:
        The files with their digests, how well each agrees with the network, and what int8 costs and gains.

    Raises:
        ConfigError: There is no such target, or the network cannot be exported so.
        MissingPackageError: A package that writes or runs a target is not installed.
        CheckpointError: There is no network, a file disagrees with it, or int8 loses too much; such a file is
            not kept.
        DataError: The images cannot be used.
        FileExistsError: A file exists, without `force`.
    """
    names = to.split(",") if isinstance(to, str) else to
    request = ExportRequest(
        paths_of([trained])[0],
        tuple(name.strip() for name in names),
        "images" if with_preprocessing else "inputs",
        int8,
        max_drop,
        verify,
        None if out is None else Path(out),
        layout,
        force,
    )
    result = export_files(request, listen=listen)
    result.check()
    return result


def export_files(request: ExportRequest, *, listen: Listen) -> Export:
    """As `export`, but files that disagree are part of the result and raise nothing."""
    files, folder = request.files(), request.folder()
    folder.mkdir(parents=True, exist_ok=True)
    network = trained_network(request.trained)
    listen(
        PlanLine(f"network {network.arch.name}: {describe_classes(network.class_names, network.num_classes)}")
    )
    listen(PlanLine(f"graph   {_form(network, request.takes)}"))
    listen(Activity("tracing the network"))
    graph = export_graph(network, takes=request.takes)
    write, images = (int8_writer if request.int8 else _writer)(request, network, graph, listen)
    results = []
    for target, file in files.items():
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
            written = Path(scratch) / file.name
            listen(Activity(f"writing {file.name}{target.patience}"))
            results.append(_placed(written, file, target, write(target, written), request, graph.facts))
    agreeing, refused = (
        tuple(each for each in results if each.parity.agrees is agrees) for agrees in (True, False)
    )
    return Export(network.arch.name, request.takes, images, agreeing, refused)


def explain(path: Path) -> tuple[NormFolding, ...]:
    """Which norms of the network at `path` an export folds, and why the others stay; raises as `export`."""
    return fold_norms(trained_network(path))[1]


def trained_network(path: Path) -> Network:
    """The network at `path` on the CPU, in eval mode; raises as `export`."""
    predictor: Any = tasks.predict_task_of([path]).load(path, device="cpu")
    network = getattr(predictor, "network", None)
    if network is None:
        raise ConfigError(f"{path} is an exported file: give the run or the folder that it was made from")
    if not isinstance(network, Network):
        raise ConfigError(f"{path} finds boxes: only networks that classify can be exported")
    return network


def _writer(
    request: ExportRequest, network: Network, graph: ExportGraph, listen: Listen
) -> tuple[Write, str]:
    """What writes float32 files, and on which images they are compared."""
    batches, images = _batches(request.trained, network, request.takes, request.verify, listen)

    def write(target: Target, file: Path) -> tuple[Parity, None]:
        target.write(graph, file)
        listen(Activity(f"comparing {file.name} with the network"))
        return compare(target.load(file), batches, takes=request.takes), None

    return write, images


def _form(network: Network, takes: Takes) -> str:
    preprocess, clip = network.preprocess, network.arch.clip
    frames = f" {clip.total}," if clip else ""
    if takes == "images":
        return f"images, uint8 (n, height, width, {preprocess.channels}), any size -> logits"
    size = f"{preprocess.channels},{frames} {preprocess.size}, {preprocess.size}"
    return f"inputs, float32 (n, {size}), normalised -> logits"


def _batches(
    path: Path, network: Network, takes: Takes, verify: object, listen: Listen
) -> tuple[list[GateBatch], str]:
    """What the files are compared on, and its description."""
    if network.arch.clip:
        return clip_batches(network), "noise: clips are compared without videos"
    images, description = _gate_images(path, network, verify, listen)
    return gate_batches(network, images, takes), description


def _gate_images(
    path: Path, network: Network, verify: object, listen: Listen
) -> tuple[list[Image.Image], str]:
    """Real images where there are some, and their description."""
    colour = network.preprocess.colour
    split: Images | None = None
    if verify is not None:
        source, listing = source_and_listing(verify)
        split = evaluation_split(listing or find(source))
    elif (path / RECIPE).is_file():
        try:
            split = tasks.evaluate_task_of([path]).examples(path, None, network.class_names)
        except (ResiduaError, OSError) as error:
            listen(Note(f"the run's own images cannot be read ({error}): give others with --verify"))
    if split is None or not len(split):
        return generated_photos(GATE_IMAGES, colour=colour), f"{GATE_IMAGES} generated pictures"
    chosen = range(0, len(split), -(-len(split) // GATE_IMAGES))
    images = with_odd_sizes([split.image(index, colour) for index in chosen])
    return images, f"{len(chosen)} of {len(split):,} images of {split.name}, some also in odd sizes"


def _placed(
    written: Path,
    file: Path,
    target: Target,
    measured: tuple[Parity, Int8Result | None],
    request: ExportRequest,
    facts: ExportFacts,
) -> ExportedFile:
    """Move a file from the folder where it was written to its place, if it agrees."""
    parity, int8 = measured
    parts = sorted(written.parent.iterdir(), key=lambda part: part == written)  # what others read comes last
    size, places = sum(part.stat().st_size for part in parts), [file.with_name(part.name) for part in parts]
    digests = [file_sha256(part) for part in parts]
    if parity.agrees and request.layout:
        folder, force = request.folder(), request.force
        laid_out = write_layout(request.layout, written, facts, folder, name=request.stem, force=force)
        places = [next(path for path in laid_out if path.suffix == part.suffix) for part in parts]
    elif parity.agrees:
        for part, place in zip(parts, places, strict=True):
            os.replace(part, place)
    sha256 = dict(zip(map(str, places), digests, strict=True))
    return ExportedFile(
        target.name, str(places[-1]), target.runs_on, size, sha256, parity, target.is_predictable, int8
    )
