"""Networks that the view "Look inside" studies, each with a few hundred labelled images in memory.

A network is a run of the folder, a file of weights in it, or released weights on this machine. Its images are
the run's own test images, the digits, those of another run, or CIFAR-10 in the folder. The page names all of
them by what it was told, never by path.
Loading takes seconds, so the last few networks stay in memory until their files change.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from residua import tasks
from residua.analyse.block_removal import BlockRemoval
from residua.analyse.study import Subject
from residua.errors import ConfigError, ResiduaError
from residua.jobs.analyse import subject_of
from residua.lab.folder_contents import FolderContents, files_of
from residua.lab.pictures import png
from residua.lab.released import downloaded_weights
from residua.measure.evaluation import Evaluation
from residua.measure.score import wilson
from residua.predict.predictor import load_network
from residua.runs.run import RECIPE
from residua.spec.arch import Arch
from residua.tasks.classify.pages import thumbnail

IMAGES = 512
"""Most images of a network."""
MIN_IMAGES = 128
"""Fewest, where a network is slow."""
SECONDS = 0.8
"""Time that the whole network may take for them; ours, so that a removal is seen within a second."""
MAX_NETWORKS = 3
"""Networks in memory."""


@dataclass(frozen=True, eq=False)
class StudiedNetwork:
    """A network with images, and what it predicts without some of its blocks."""

    name: str
    """Name of the run or file in the folder."""
    subject: Subject
    """The network and its images."""
    removal: BlockRemoval
    """The same, without blocks."""

    @property
    def arch(self) -> Arch:
        """The description of the network."""
        return self.subject.arch

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        assert self.subject.images
        return self.subject.images.classes

    def evaluation(self, removed: frozenset[int] = frozenset()) -> Evaluation:
        """The evaluation on the images, without the blocks `removed`.

        Raises:
            ConfigError: A block cannot be removed.
            NonFiniteError: Without them the network computes NaN or infinity.
        """
        assert self.subject.images
        probabilities = self.removal.probabilities(removed)
        evaluation = Evaluation.from_probabilities(probabilities, self.subject.images)
        return replace(evaluation, network=self.name)

    def blocks(self) -> list[dict[str, Any]]:
        """The blocks for the page, in order."""
        rows = []
        stages = [(number, block) for number, stage in enumerate(self.arch.stages) for block in stage]
        for (stage, block), name, is_removable in zip(
            stages, self.removal.names, self.removal.removable, strict=True
        ):
            has_shortcut = "(" in block.word
            rows.append({"name": name, "stage": stage, "word": block.word, "has_shortcut": has_shortcut,
                         "is_removable": is_removable})  # fmt: skip
        return rows

    def lesion(self, removed: frozenset[int]) -> dict[str, Any]:
        """Accuracy and predictions without the blocks `removed`, as JSON values."""
        start = time.perf_counter()
        evaluation = self.evaluation(removed)
        right = len(evaluation.labels) - evaluation.wrong
        return {
            "removed": sorted(removed),
            "accuracy": 100 * right / len(evaluation.labels),
            "interval": wilson(right, len(evaluation.labels)),
            "images": len(evaluation.labels),
            "predicted": evaluation.predicted.tolist(),
            "confidence": [round(float(value), 3) for value in evaluation.probabilities.max(1)],
            "milliseconds": round(1000 * (time.perf_counter() - start)),
        }

    def picture(self, index: int) -> bytes:
        """Image `index` as PNG."""
        assert self.subject.images
        if not 0 <= index < len(self.subject.images):
            raise ConfigError(f"no image {index}: there are {len(self.subject.images)}")
        return png(thumbnail(self.subject.images, index))


class StudiedNetworks:
    """The networks of a folder."""

    def __init__(self, contents: FolderContents) -> None:
        self._contents = contents
        self._loaded: OrderedDict[tuple[str, str, int], tuple[float, StudiedNetwork]] = OrderedDict()

    def open(self, name: str, images: str = "", count: int = 0) -> StudiedNetwork:
        """A network with images.

        Args:
            name: A run or a file of weights of the folder, or released weights on this machine.
            images: A key of `sources`; empty takes the run's own.
            count: How many images, at most; 0 takes as many as the network is fast enough for.

        Raises:
            ConfigError: There is no such network, it does not classify these images, or one of them cannot be
                read.
        """
        path, key = self._path(name), (name, images, count)
        changed = max((file.stat().st_mtime for file in files_of(path)), default=0.0)
        known = self._loaded.get(key)
        if known and known[0] == changed:
            self._loaded.move_to_end(key)
            return known[1]
        network = self._read(name, path, self._source(path, images), min(count, IMAGES))
        self._loaded[key] = (changed, network)
        while len(self._loaded) > MAX_NETWORKS:
            self._loaded.popitem(last=False)
        return network

    def _path(self, name: str) -> Path:
        try:
            return self._contents.path(name)
        except ConfigError:
            if name in downloaded_weights():
                return Path(name)
            raise

    def _read(self, name: str, path: Path, source: str | None, count: int) -> StudiedNetwork:
        """The network; an error names the file as the page does, not by its path on this machine."""
        try:
            return _open(name, path, source, count)
        except ResiduaError as error:
            raise ConfigError(str(error).replace(f"{self._contents.root}/", "")) from None

    def _source(self, path: Path, images: str) -> str | None:
        if not images:
            if (path / RECIPE).is_file():
                return None
            raise ConfigError(f"{path.name} holds weights alone: choose images to study them with")
        return self._contents.source(images)


def _open(name: str, path: Path, source: str | None, count: int) -> StudiedNetwork:
    network = load_network(path)
    task = tasks.evaluate_task_of([path])
    if network.arch.clip or "topk" not in task.options:
        raise ConfigError(f"{name} does not classify images: choose another network")
    examples = task.examples(path, source, network.class_names)
    trial = subject_of(name, network, examples, count=count or MIN_IMAGES)
    BlockRemoval(network, trial.inputs[:8])  # the first pass is slower
    start = time.perf_counter()
    removal = BlockRemoval(network, trial.inputs)
    seconds = time.perf_counter() - start
    possible = min(IMAGES, int(MIN_IMAGES * SECONDS / max(seconds, 1e-3)))
    if not count and possible > 1.5 * MIN_IMAGES:
        trial = subject_of(name, network, examples, count=possible)
        removal = BlockRemoval(network, trial.inputs)
    return StudiedNetwork(name, trial, removal)
