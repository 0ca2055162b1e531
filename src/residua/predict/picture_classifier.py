"""PictureClassifier: what every classifier of images shares, whatever computes; it needs no torch.

`Classifier` has a network of torch, `ExportedClassifier` a file for another runtime. Both read a picture in
the same way, take one or several, and answer with the same `Prediction`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import convert_image, decode
from residua.data.eval_view import eval_view
from residua.data.pictures import PixelArray, is_tensor, open_picture
from residua.errors import DataError
from residua.predict.prediction import Prediction
from residua.spec.preprocess import Preprocess

Picture = str | Path | bytes | Image.Image | PixelArray
"""A path, the bytes of a file, a PIL image, an array with channels last or a tensor with channels first."""
BATCH_SIZE = 32
"""Pictures of a list that are computed at once."""


class PictureClassifier(Protocol):
    """A classifier of images: a subclass says how it computes probabilities."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""

    @property
    def preprocess(self) -> Preprocess:
        """The path from a picture to the input of the network."""

    def probabilities(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each class.

        Args:
            views: Views (n, C, S, S) as `view` returns them.

        Returns:
            (n, classes); each row sums to 1.
        """

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
        if (isinstance(picture, np.ndarray) or is_tensor(picture)) and picture.ndim == 4:
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
        rows = rows_of_views(self, views)
        return [Prediction(self.classes, tuple(row)) for row in rows.tolist()]

    def view(self, picture: Picture) -> NDArray[np.uint8]:
        """The centre crop of one picture that the network reads.

        Args:
            picture: As in a call.

        Returns:
            (C, S, S) uint8, before normalisation.

        Raises:
            DataError: The picture cannot be read.
        """
        preprocess = self.preprocess
        if isinstance(picture, str | Path | bytes):
            file = Path(picture) if isinstance(picture, str) else picture
            return eval_view(decode(file, colour=preprocess.colour), preprocess)
        if preprocess.colour == "bands":
            inputs = f"(N, {preprocess.channels}, {preprocess.size}, {preprocess.size})"
            raise DataError(f"the network reads {preprocess.channels} bands: give `network` tensors {inputs}")
        return eval_view(convert_image(open_picture(picture), colour=preprocess.colour), preprocess)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (n, classes) -> probabilities, whose rows sum to 1."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    rows: NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
    return rows


def rows_of_views(classifier: PictureClassifier, views: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probabilities of views: as one batch, or one by one where a graph reads images of several sizes.

    Args:
        classifier: What computes them.
        views: One or several, as `PictureClassifier.view` returns them.

    Returns:
        (n, classes).
    """
    if len({view.shape for view in views}) == 1:
        return classifier.probabilities(np.stack(views))
    return np.concatenate([classifier.probabilities(view[None]) for view in views])
