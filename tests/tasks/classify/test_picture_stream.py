"""Many images: in order, decoded ahead by threads, with bounded memory, whatever is wrong with some."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported_files import write_onnx
from residua.data.inputs import Inputs
from residua.errors import DataError, NonFiniteError, UnreachableError
from residua.predict.exported import ExportedClassifier, load_exported
from residua.predict.picture_classifier import PictureClassifier
from residua.spec.preprocess import Preprocess
from residua.tasks.classify.picture_stream import predict_pictures
from residua.tasks.predict_task import PredictOptions
from small import PIXELS, photo_folder


@dataclass
class Recorder(PictureClassifier):
    """A classifier that records which thread reads which picture, and how many views wait."""

    preprocess: Preprocess = PIXELS
    classes: tuple[str, ...] = ("even", "odd")
    read: list[int] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    computed: int = 0
    most_ahead: int = 0
    value: float = 1.0

    def view(self, picture: Any) -> Any:
        number = int(Path(picture).stem)
        self.threads.add(threading.current_thread().name.rpartition("_")[0])
        time.sleep(0.002 * (number % 3))
        if number % 10 == 7:
            raise DataError(f"{picture} is broken")
        if number == 1000:
            raise UnreachableError("no server")
        self.read.append(number)
        return np.full((1, 2, 2), number % 2, np.uint8)

    def probabilities(self, views: Any) -> Any:
        self.most_ahead = max(self.most_ahead, len(self.read) - self.computed)
        self.computed += len(views)
        odd = views[:, 0, 0, 0].astype(np.float32)
        return np.stack([1 - odd, odd * self.value], 1)


def files(count: int) -> Inputs:
    return Inputs.of_files([f"{number}.png" for number in range(count)])


@pytest.mark.parametrize("workers", [0, 1, 5, -1])
@pytest.mark.parametrize("start", [0, 13])
def test_images_come_in_order_with_errors_in_their_places(workers: int, start: int) -> None:
    recorder = Recorder()
    options = PredictOptions(batch_size=8, workers=workers)
    parts = list(predict_pictures(recorder, files(61), options, start=start))
    whole = parts[0].joined(parts[1:])
    assert whole.titles == tuple(f"{number}.png" for number in range(start, 61))
    for number, name in enumerate(whole.best_classes, start):
        assert name == (None if number % 10 == 7 else ("even", "odd")[number % 2])
    assert [*whole.failures] == [number - start for number in range(start, 61) if number % 10 == 7]
    assert (recorder.threads == {"residua-decode"}) == (workers != 0)


def test_images_are_decoded_ahead_of_their_use_but_not_far() -> None:
    recorder = Recorder()
    stream = predict_pictures(recorder, files(400), PredictOptions(batch_size=4, workers=2))
    for _ in stream:
        time.sleep(0.01)  # a slow network
    assert 4 < recorder.most_ahead <= 4 * 3 + 2


def test_a_stream_that_is_left_ends_its_threads() -> None:
    before = threading.active_count()
    stream: Iterator[Any] = predict_pictures(Recorder(), files(400), PredictOptions(batch_size=4, workers=3))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_server_that_does_not_answer_ends_the_prediction() -> None:
    with pytest.raises(UnreachableError):
        list(predict_pictures(Recorder(), Inputs.of_files(["1.png", "1000.png"]), PredictOptions()))


def test_a_network_that_computes_nan_is_no_prediction() -> None:
    with pytest.raises(NonFiniteError):
        list(predict_pictures(Recorder(value=float("nan")), files(4), PredictOptions()))


def exported(tmp_path: Path) -> ExportedClassifier:
    return load_exported(write_onnx(tmp_path / "m.onnx"))


def test_mirrored_views_are_averaged(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder_views = []

    def probabilities(views: Any) -> Any:
        recorder_views.append(views)
        share = views[:, 0, 0, 0].astype(np.float32) / 4
        return np.stack([1 - share, share], 1)

    recorder.probabilities = probabilities  # type: ignore[method-assign]
    recorder.view = lambda _: np.array([[[1, 3]]], np.uint8)  # type: ignore[method-assign]
    (part,) = predict_pictures(recorder, files(1), PredictOptions(mirrored=True, topk=2))
    assert dict(part.top[0]) == {"even": 0.5, "odd": 0.5}
    assert [views.ravel().tolist() for views in recorder_views] == [[1, 3], [3, 1]]


def test_images_in_a_source_are_named_where_they_cannot_be_read(tmp_path: Path) -> None:
    from residua.data.open import find

    folder = photo_folder(tmp_path / "photos", count=2)
    images = find(str(folder)).train

    @dataclass(frozen=True, eq=False)
    class Bytes(Inputs):
        def item(self, i: int) -> bytes:
            return b"no image" if i == 1 else images.files[i].read_bytes()  # type: ignore[union-attr]

    parts = list(predict_pictures(exported(tmp_path), Bytes((images,)), PredictOptions(batch_size=4)))
    whole = parts[0].joined(parts[1:])
    assert [*whole.failures] == [1]
    assert whole.failures[1].startswith(images.title(1))


def test_one_image_is_read_without_threads(tmp_path: Path) -> None:
    recorder = Recorder()
    list(predict_pictures(recorder, files(1), PredictOptions()))
    assert recorder.threads == {""}
