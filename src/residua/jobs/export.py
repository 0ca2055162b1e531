"""Export a trained network: trace it, write a file for each target, and keep what agrees with the network."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from residua import tasks
from residua.data.images import Images
from residua.data.listing import evaluation_split
from residua.data.open import find
from residua.data.sources.objects import source_and_listing
from residua.errors import CheckpointError, ConfigError, MissingPackageError, ResiduaError
from residua.events import Activity, Event, Note, PlanLine
from residua.files import check_is_free, file_sha256
from residua.jobs.evaluate import Trained, paths_of
from residua.nn.network import Network
from residua.nn.summary import describe_classes
from residua.predict.engines.folding import NormFolding, fold_norms
from residua.predict.export.facts import Takes
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
from residua.predict.export.targets import Target, target_named
from residua.runs.run import RECIPE
from residua.spec.amount import format_bytes, quantity
from residua.spec.text_table import TextTable

GATE_IMAGES = 24
"""Images on which a file is compared with the network, besides those of odd sizes."""

Listen = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file, and how well it agrees with the network."""

    target: str
    """What it was written for: `onnx`, `openvino`, ..."""
    path: str
    """The file; OpenVINO has a second one beside it, which ends in .bin."""
    runs_on: str
    """What computes it."""
    size: int
    """Bytes, of both files where there are two."""
    sha256: dict[str, str]
    """Path of each file -> its SHA-256."""
    parity: Parity
    """What the gate measured."""
    is_predictable: bool
    """Whether `residua predict` takes it."""


@dataclass(frozen=True, slots=True)
class Export:
    """The files that were written, and those that were not kept."""

    network: str
    """Name of the network."""
    takes: Takes
    """What the graphs read."""
    images: str
    """On which images they were compared."""
    files: tuple[ExportedFile, ...]
    """One for each target that agrees."""
    refused: tuple[ExportedFile, ...] = ()
    """Those that disagree; they are not on disk."""

    def table(self) -> TextTable:
        """One row for each target."""
        head = ("target", "file", "size", "largest difference", "allowed", "same top-1", "ms per image", "")
        rows = tuple(_row(each, "kept") for each in self.files)
        rows += tuple(_row(each, "refused") for each in self.refused)
        digests = (
            f"SHA-256 of {path}: {digest}" for each in self.files for path, digest in each.sha256.items()
        )
        return TextTable(head, rows, 2, (f"compared on {self.images}", *digests))

    def check(self) -> None:
        """CheckpointError when a file disagrees."""
        for each in self.refused:
            parity = each.parity
            differs = f"a logit by {parity.difference:.2g} on {quantity(parity.images, 'image')}"
            raise CheckpointError(
                f"{each.path} differs in {differs}, {parity.tolerance:.2g} are allowed: it is not kept, "
                "give another --to"
            )


def export(
    trained: Trained,
    to: str | Sequence[str] = "onnx",
    *,
    with_preprocessing: bool = False,
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
        verify: Images on which the files are compared, as a source or as `residua.train` takes them; by
            default the test images of a run, else generated ones.
        out: Folder to write to, by default the current one; for one target also a file.
        force: Replace files that exist.
        listen: Receives the plan and the progress.

    Returns:
        The files with their digests, and how well each agrees with the network.

    Raises:
        ConfigError: There is no such target, or the network cannot be exported so.
        MissingPackageError: A package that writes or runs a target is not installed.
        CheckpointError: There is no network, or a file disagrees with it; that file is not kept.
        DataError: The images cannot be read.
        FileExistsError: A file exists, without `force`.
    """
    result = export_files(
        paths_of([trained])[0],
        to,
        takes="images" if with_preprocessing else "inputs",
        verify=verify,
        out=out,
        force=force,
        listen=listen,
    )
    result.check()
    return result


def export_files(
    path: Path,
    to: str | Sequence[str],
    *,
    takes: Takes,
    verify: object,
    out: str | Path | None,
    force: bool,
    listen: Listen,
) -> Export:
    """As `export`, but files that disagree are part of the result and raise nothing."""
    targets = _targets(to)
    files = _files(path, targets, out)
    seconds = [
        file.with_suffix(target.second_suffix)
        for target, file in zip(targets, files, strict=True)
        if target.second_suffix
    ]
    check_is_free(*files, *seconds, force=force)
    files[0].parent.mkdir(parents=True, exist_ok=True)
    network = trained_network(path)
    listen(
        PlanLine(f"network {network.arch.name}: {describe_classes(network.class_names, network.num_classes)}")
    )
    listen(PlanLine(f"graph   {_form(network, takes)}"))
    listen(Activity("tracing the network"))
    graph = export_graph(network, takes=takes)
    batches, images = _batches(path, network, takes, verify, listen)
    results = [
        _written(target, file, graph, batches, listen) for target, file in zip(targets, files, strict=True)
    ]
    agreeing, refused = (
        tuple(each for each in results if each.parity.agrees is agrees) for agrees in (True, False)
    )
    return Export(network.arch.name, takes, images, agreeing, refused)


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


def _targets(to: str | Sequence[str]) -> list[Target]:
    """The targets that are named. MissingPackageError, or ConfigError without a compiler, before any work."""
    names = [name.strip() for name in to.split(",")] if isinstance(to, str) else list(to)
    targets = [target_named(name) for name in dict.fromkeys(names)]
    for target in targets:
        for package in target.packages:
            if find_spec(package) is None:
                install = f"pip install 'residua[{target.packages[0]}]'"
                raise MissingPackageError(f"{target.name} needs {package}, which is not installed: {install}")
        target.check()
    return targets


def _files(path: Path, targets: Sequence[Target], out: str | Path | None) -> list[Path]:
    """Where each target is written. ConfigError where a file is in the place of the folder."""
    place = Path(out or ".")
    if len(targets) == 1 and place.name.endswith(targets[0].suffix) and not place.is_dir():
        files = [place]
    else:
        name = path.stem if path.is_file() else path.resolve().name if path.exists() else path.name
        files = [place / f"{name}{target.suffix}" for target in targets]
    folder = files[0].parent
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file, not a folder: write elsewhere")
    return files


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
            split = tasks.predict_task_of([path]).examples(path, None, network.class_names)
        except (ResiduaError, OSError) as error:
            listen(Note(f"the run's own images cannot be read ({error}): give others with --verify"))
    if split is None or not len(split):
        return generated_photos(GATE_IMAGES, colour=colour), f"{GATE_IMAGES} generated pictures"
    chosen = range(0, len(split), -(-len(split) // GATE_IMAGES))
    images = with_odd_sizes([split.image(index, colour) for index in chosen])
    return images, f"{len(chosen)} of {len(split):,} images of {split.name}, some also in odd sizes"


def _written(
    target: Target, file: Path, graph: ExportGraph, batches: Sequence[GateBatch], listen: Listen
) -> ExportedFile:
    """Write a file beside its place, compare it, and move it there if it agrees."""
    with tempfile.TemporaryDirectory(prefix=".export-", dir=file.parent) as scratch:
        written = Path(scratch) / file.name
        listen(Activity(f"writing {file.name}{target.patience}"))
        target.write(graph, written)
        listen(Activity(f"comparing {file.name} with the network"))
        parity = compare(target.load(written), batches, takes=graph.facts.takes)
        parts = sorted(
            Path(scratch).iterdir(), key=lambda part: part == written
        )  # what others read comes last
        size = sum(part.stat().st_size for part in parts)
        digests = {str(file.with_name(part.name)): file_sha256(part) for part in parts}
        for part in parts if parity.agrees else ():
            os.replace(part, file.with_name(part.name))
    return ExportedFile(target.name, str(file), target.runs_on, size, digests, parity, target.is_predictable)


def _row(each: ExportedFile, outcome: str) -> tuple[str, ...]:
    parity = each.parity
    numbers = (f"{parity.difference:.1e}", f"{parity.tolerance:.1e}", f"{100 * parity.same_top1:.1f} %")
    time = f"{parity.milliseconds:.1f}"
    return (each.target, Path(each.path).name, format_bytes(each.size), *numbers, time, outcome)
