"""Classifier: the Predictor of images; it takes files, pictures or arrays and returns classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from residua.data.decode import convert_image, decode
from residua.data.pictures import PixelArray, open_picture
from residua.data.transforms import eval_view
from residua.errors import DataError
from residua.nn.network import Network
from residua.predict import hub
from residua.predict.folder import save
from residua.predict.predictor import compute_logits, describe_predictor, load_predictor, read_classifier
from residua.spec.printable import printable
from residua.spec.recipe import Plan

Picture = str | Path | bytes | Image.Image | PixelArray
"""A path, the bytes of a file, a PIL image, an array with channels last or a tensor with channels first."""
BATCH_SIZE = 32
"""Pictures of a list that are computed at once."""
SHORT = 3
"""Classes that a prediction shows of itself."""
CPU = Plan("cpu", "channels_last", "float32")
"""The plan of a network that is used as it is built: on the CPU."""


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """The class probabilities of one image."""

    classes: tuple[str, ...]
    """All classes, in the order of the network's outputs."""
    probabilities: tuple[float, ...]
    """Probability of each class; they sum to 1."""

    def top(self, k: int = 1) -> list[tuple[str, float]]:
        """The `k` likeliest classes with their probabilities, the likeliest first."""
        ranked = sorted(zip(self.classes, self.probabilities, strict=True), key=lambda pair: -pair[1])
        return ranked[:k]

    def __repr__(self) -> str:
        likeliest = ", ".join(f"{printable(name)} {100 * share:.1f} %" for name, share in self.top(SHORT))
        more = len(self.classes) - SHORT
        return f"Prediction({likeliest}{f', {more} more' if more > 0 else ''})"

    def _repr_html_(self) -> str:
        """The likeliest classes for notebooks."""
        rows = (
            f"<tr><td>{escape(printable(name))}</td><td>{100 * share:.1f} %</td></tr>"
            for name, share in self.top(2 * SHORT)
        )
        return f"<table><tr><th>class</th><th>probability</th></tr>{''.join(rows)}</table>"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Classifier:
    """A network that classifies images, with its preprocessing and class names."""

    network: Network
    """The network, in eval mode on the plan's device."""
    plan: Plan = CPU
    """Device, memory format and precision."""
    weights: str = "raw"
    """Which weights the network has: `raw`, `ema` or `best`."""

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

    @overload
    def __call__(self, picture: str | Path | bytes | Image.Image) -> Prediction: ...

    @overload
    def __call__(self, picture: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...

    @overload
    def __call__(self, picture: PixelArray) -> Any: ...

    def __call__(self, picture: Picture | list[Any] | tuple[Any, ...]) -> Prediction | list[Prediction]:
        """Classify one picture, or several.

        Args:
            picture: A path, the bytes of a file, a PIL image of any mode, an array (H, W[, 3]) or a tensor
                ([3, ]H, W), of uint8 or of floating point from 0 to 1; `data/pictures.py` has the rule.
                Each is resized and normalised like a file. Several are a list, a tuple, an array (N, H, W, 3)
                or a tensor (N, 3, H, W).

        Returns:
            The probability of each class; for several pictures a list.

        Raises:
            DataError: A picture cannot be read.
        """
        if isinstance(picture, np.ndarray | Tensor) and picture.ndim == 4:
            picture = list(picture)
        if not isinstance(picture, list | tuple):
            return self.many([picture])[0]
        starts = range(0, len(picture), BATCH_SIZE)
        return [one for start in starts for one in self.many(picture[start : start + BATCH_SIZE])]

    def many(self, pictures: Iterable[Picture]) -> list[Prediction]:
        """Classify several pictures as one batch. DataError when one cannot be read."""
        views = [self.view(picture) for picture in pictures]
        if not views:
            return []
        rows = torch.softmax(self.logits(torch.from_numpy(np.stack(views))), 1)
        return [Prediction(self.classes, tuple(row)) for row in rows.tolist()]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""
        return self.network.class_names

    def logits(self, pixels: Tensor) -> Tensor:
        """(n, C, H, W) uint8 -> logits (n, classes) float32, on the plan's device."""
        return compute_logits(self.network, pixels, self.plan)

    def view(self, picture: Picture) -> NDArray[np.uint8]:
        """The centre crop of one picture that the network reads.

        Args:
            picture: As in a call.

        Returns:
            (C, S, S) uint8, before normalisation.

        Raises:
            DataError: The picture cannot be read.
        """
        preprocess = self.network.preprocess
        if isinstance(picture, str | Path | bytes):
            file = Path(picture) if isinstance(picture, str) else picture
            return eval_view(decode(file, colour=preprocess.colour), preprocess)
        if preprocess.colour == "bands":
            inputs = f"(N, {preprocess.channels}, {preprocess.size}, {preprocess.size})"
            raise DataError(f"the network reads {preprocess.channels} bands: give `network` tensors {inputs}")
        return eval_view(convert_image(open_picture(picture), colour=preprocess.colour), preprocess)


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
