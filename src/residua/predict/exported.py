"""ExportedClassifier: a classifier from an exported file; ONNX and OpenVINO files need no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residua.data.decode import convert_image, decode, one_line
from residua.data.eval_view import limit_aspect, pixel_array
from residua.data.pictures import open_picture
from residua.errors import CheckpointError, ConfigError
from residua.predict.engines.engine import Engine
from residua.predict.export.facts import KEY, ExportFacts
from residua.predict.picture_classifier import Picture, PictureClassifier, softmax
from residua.spec.preprocess import Preprocess

TORCH_ARCHIVE = ".pt2"
"""Ending of an archive of torch, which is refused: `torch.export.load` unpickles parts of it."""
MAX_BYTES = 4 << 30
"""Largest file that is opened; of OpenVINO, both files together."""


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class ExportedClassifier(PictureClassifier):
    """A network in an exported file that classifies images, with its preprocessing and class names."""

    engine: Engine
    """What computes the file."""
    facts: ExportFacts
    """What the file says of itself."""
    path: Path
    """The file."""

    def __repr__(self) -> str:
        arch, preprocess = self.facts.arch, self.facts.preprocess
        size = f"{preprocess.size} x {preprocess.size} {preprocess.colour}"
        engine = f"{self.engine.name}, {self.facts.precision}"
        return f"ExportedClassifier({arch.name}: {len(self.classes)} classes, {size}; {engine})"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        return self.facts.classes

    @property
    def preprocess(self) -> Preprocess:
        """The path from a picture to the input of the network."""
        return self.facts.preprocess

    def view(self, picture: Picture) -> NDArray[np.uint8]:
        """What the file reads of one picture: its centre crop, or all of it where the graph crops itself.

        Args:
            picture: As in a call.

        Returns:
            (C, H, W) uint8, before normalisation.

        Raises:
            DataError: The picture cannot be read.
        """
        if self.facts.takes == "inputs":
            return PictureClassifier.view(self, picture)
        colour = self.preprocess.colour
        if isinstance(picture, str | Path | bytes):
            image = decode(Path(picture) if isinstance(picture, str) else picture, colour=colour)
        else:
            image = convert_image(open_picture(picture), colour=colour)
        return pixel_array(limit_aspect(image))

    def probabilities(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each class, (n, classes); see `PictureClassifier`."""
        return softmax(self.logits(views))

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits of views.

        Args:
            views: (n, C, H, W) as `view` returns them, all of one size.

        Returns:
            (n, classes).

        Raises:
            CheckpointError: The file does not compute what it says of itself.
        """
        pixels = views if self.facts.takes == "inputs" else np.ascontiguousarray(views.transpose(0, 2, 3, 1))
        try:
            logits = self.engine.logits(pixels)
        except Exception as error:  # every runtime has errors of its own
            raise CheckpointError(
                f"{self.path} cannot be computed ({one_line(error)}): export it again"
            ) from None
        if logits.shape != (shape := (len(views), len(self.classes))):
            raise CheckpointError(f"{self.path} computes {logits.shape} instead of {shape}: export it again")
        return logits


def is_exported(path: Path) -> bool:
    """Whether `path` is an exported file, by its ending; also one that is refused."""
    return path.suffix.lower() in (*_READERS, TORCH_ARCHIVE) and path.is_file()


def load_exported(path: Path, *, in_batches: bool = False) -> ExportedClassifier:
    """Load an exported file.

    Args:
        path: A file that ends in .onnx, or in .xml with its .bin beside it.
        in_batches: Whether many images are computed at once: each thread then computes a part of the batch
            alone, so that none waits for another that has to share its core with decoding.

    Raises:
        CheckpointError: The file is damaged, is not one of `residua export`, or could do more than compute.
        ConfigError: The runtime of the file is not installed.
        OSError: The file cannot be read.
    """
    if path.suffix.lower() == TORCH_ARCHIVE:
        raise CheckpointError(
            f"{path} can run code when torch opens it: predict from the run, or export it to onnx"
        )
    if not is_exported(path):
        raise ConfigError(f"{path} is no exported file: give {', '.join(_READERS)}")
    if (size := _size(path)) > MAX_BYTES:
        raise CheckpointError(f"{path} has {size:,} bytes: give at most {MAX_BYTES:,}")
    engine, facts = _READERS[path.suffix.lower()](path, in_batches)
    return ExportedClassifier(engine, facts, path)


def _size(path: Path) -> int:
    """Bytes of a file, with those of the .bin file beside a model of OpenVINO."""
    weights = path.with_suffix(".bin")
    weight_bytes = weights.stat().st_size if path.suffix.lower() == ".xml" and weights.is_file() else 0
    return path.stat().st_size + weight_bytes


def _preprocess_of(facts: ExportFacts) -> Preprocess | None:
    """What is left to do before the graph: None where it reads images."""
    return facts.preprocess if facts.takes == "inputs" else None


def _read_onnx(path: Path, in_batches: bool) -> tuple[Engine, ExportFacts]:
    from residua.predict.engines.onnxruntime import OnnxRuntimeEngine
    from residua.predict.onnx_file import read_onnx_facts

    facts = read_onnx_facts(path)
    reads = _preprocess_of(facts)
    return OnnxRuntimeEngine(path, reads, split=in_batches and reads is not None), facts


def _read_openvino(path: Path, in_batches: bool) -> tuple[Engine, ExportFacts]:
    from residua.predict.engines.openvino import Hint, OpenVinoEngine
    from residua.predict.openvino_file import check_constants
    from residua.predict.openvino_package import openvino_core

    try:
        core = openvino_core()
    except ImportError:
        raise ConfigError(f"{path} needs OpenVINO: pip install 'residua[openvino]'") from None
    try:
        model = core.read_model(str(path))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} is no model of OpenVINO ({one_line(error)}): export it again"
        ) from None
    if not model.has_rt_info(KEY):
        raise CheckpointError(
            f"{path} says nothing of its classes and preprocessing: give a file that `residua export` wrote"
        )
    facts = ExportFacts.from_text(model.get_rt_info(KEY).astype(str), path=path)
    check_constants(model, path, _size(path))
    hint: Hint = "throughput" if in_batches else "latency"
    return OpenVinoEngine(model, _preprocess_of(facts), hint=hint), facts


_READERS: dict[str, Callable[[Path, bool], tuple[Engine, ExportFacts]]] = {
    ".onnx": _read_onnx,
    ".xml": _read_openvino,
}
"""Ending -> function that opens such a file."""
