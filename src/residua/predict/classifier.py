"""Classifier: the Predictor of images; it takes files, pictures or arrays and returns classes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.events import Event
from residua.nn.network import Network
from residua.predict import hub
from residua.predict.engines.engine import Engine
from residua.predict.folder import save
from residua.predict.picture_classifier import BATCH_SIZE, PictureClassifier, softmax
from residua.predict.predictor import compute_logits, describe_predictor, load_predictor, read_classifier
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan

CPU = Plan("cpu", "channels_last", "float32")
"""The plan of a network that is used as it is built: on the CPU."""


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Classifier(PictureClassifier):
    """A network that classifies images, with its preprocessing and class names."""

    network: Network
    """The network, in eval mode on the plan's device."""
    plan: Plan = CPU
    """Device, memory format and precision."""
    weights: str = "raw"
    """Which weights the network has: `raw`, `ema` or `best`."""
    engine: Engine | None = None
    """What computes probabilities; None is torch, under the plan."""

    def __repr__(self) -> str:
        return describe_predictor("Classifier", self.network, self.plan, self.weights)

    @classmethod
    def from_pretrained(
        cls,
        place: str | Path,
        *,
        revision: str | None = None,
        weights: str = "auto",
        device: str = "auto",
        precision: str = "float32",
    ) -> "Classifier":
        """Load a classifier from this machine, as `residua.load` does, or else from a hub.

        Args:
            place: A run, a saved folder or a checkpoint file; where there is none, `owner/name` on a hub.
            revision: On a hub, a branch, tag or commit; None takes the newest.
            weights: As in `residua.load`.
            device: As in `residua.load`.
            precision: As in `residua.load`.

        Raises:
            CheckpointError: There is no classifier, or a byte of it changed since it was written.
            UnreachableError: The hub does not answer, and the cache holds none.
            ConfigError: A name cannot be used, or the extra `hub` is not installed.
        """
        is_here = Path(place).exists() or not hub.is_name(str(place))
        here = place if is_here else hub.download(str(place), revision=revision)
        return load(here, weights=weights, device=device, precision=precision)

    def save_pretrained(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write the network to a folder, as `residua.save` does.

        Raises:
            FileExistsError: The folder holds a saved network, and `force` is false.
        """
        return save(self.network, folder, force=force)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs; their numbers where they have none."""
        return self.network.classes

    @property
    def preprocess(self) -> Preprocess:
        """The path from a picture to the input of the network."""
        return self.network.preprocess

    def probabilities(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each class, (n, classes); see `PictureClassifier`."""
        if self.engine is not None:
            return softmax(self.engine.logits(views))
        rows: NDArray[np.float32] = torch.softmax(self.logits(torch.from_numpy(views)), 1).cpu().numpy()
        return rows

    def with_engine(
        self,
        name: str = "auto",
        views: NDArray[np.uint8] | None = None,
        *,
        batch_size: int = BATCH_SIZE,
        images: int = 0,
        listen: Callable[[Event], object] = lambda _: None,
    ) -> "Classifier":
        """The same classifier, whose probabilities another engine computes.

        Args:
            name: An engine of `predict/engines/candidates.py`; `auto` measures which one is the fastest here,
                in about 20 seconds, and the next time takes what it measured.
            views: For `auto`, the first views of the work, (n, C, S, S), on which engines must agree; None
                takes noise.
            batch_size: Views that are computed at once.
            images: For `auto`, images of the work, where that is known: nothing is measured for few.
            listen: For `auto`, receives what is done, and the measured table.

        Raises:
            ConfigError: There is no such engine for this device, or its package is not installed.
        """
        from residua.predict.engines.choose import (  # few processes need the engines
            choose_engine,
            named_engine,
        )

        if name != "auto":
            return replace(self, engine=named_engine(self.network, name, batch_size=batch_size))
        reads = self.preprocess
        views = np.empty((0, reads.channels, reads.size, reads.size), np.uint8) if views is None else views
        engine = choose_engine(self.network, views, batch_size=batch_size, images=images, listen=listen)
        return replace(self, engine=engine)

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, C, H, W) uint8 -> logits (n, classes) float32, on the plan's device."""
        return compute_logits(self.network, pixels, self.plan)


def load(
    source: str | Path, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
) -> Classifier:
    """Load a trained classifier.

    Args:
        source: A run directory (its newest state), a saved folder or a checkpoint file.
        weights: Of a run: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
        device: `cpu`, `cuda`, `mps`, or `auto` for the first accelerator, else the CPU.
        precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
            device.

    Returns:
        A classifier that takes files, pictures or arrays.

    Raises:
        CheckpointError: There is no classifier, or a byte of it changed since it was written.
        ConfigError: The device, the precision or the name of the weights cannot be used.
    """
    return Classifier(
        *load_predictor(source, read_classifier, weights=weights, device=device, precision=precision)
    )
