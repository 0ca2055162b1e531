"""One picture, whatever it comes in, gets one answer."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import residua
from residua.errors import CheckpointError, DataError
from residua.predict.classifier import Classifier, load, load_network
from residua.runs import checkpoint
from residua.runs.run import Run, create
from small import COLOURS, colours, flip, fresh, picture, png, recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fresh(tmp_path_factory.mktemp("run"), recipe(), colours())


@pytest.fixture(scope="module")
def classifier(run: Run) -> Classifier:
    return load(run.path)


def test_a_path_bytes_an_image_and_an_array_agree(classifier: Classifier, tmp_path: Path) -> None:
    pixels = picture("red", 7, side=20)
    file = tmp_path / "red.png"
    file.write_bytes(png(pixels))
    wanted = classifier(file)
    for same in (str(file), file.read_bytes(), Image.fromarray(pixels), pixels):
        assert classifier(same) == wanted
    assert sum(wanted.probabilities) == pytest.approx(1, abs=1e-5)


def test_grey_pictures_are_answered_as_their_colour_twins(classifier: Classifier) -> None:
    grey = picture("red", 7)[:, :, 0]
    coloured = np.stack([grey] * 3, 2)
    assert classifier(grey) == classifier(coloured) == classifier(Image.fromarray(grey))


def test_many_pictures_are_answered_as_each_alone(classifier: Classifier) -> None:
    pictures = [picture(colour, seed, side=12 + 5 * seed) for seed in range(4) for colour in COLOURS]
    for together, alone in zip(classifier.many(pictures), map(classifier, pictures), strict=True):
        np.testing.assert_allclose(together.probabilities, alone.probabilities, atol=1e-5)


def test_no_pictures_have_no_answers(classifier: Classifier) -> None:
    assert classifier.many([]) == []


def test_the_likeliest_come_first_under_their_names(classifier: Classifier) -> None:
    answer = classifier(picture("green", 5))
    top = answer.top(3)
    assert [name for name, _ in top] == sorted(
        COLOURS, key=lambda name: -answer.probabilities[answer.classes.index(name)]
    )
    assert answer.top() == top[:1]
    assert answer.top(50) == top


def test_a_trained_classifier_knows_its_colours(classifier: Classifier) -> None:
    right = [
        classifier(picture(colour, 900 + i)).top()[0][0] == colour for i in range(4) for colour in COLOURS
    ]
    assert sum(right) >= 10


def test_a_run_and_its_newest_file_hold_the_same_classifier(run: Run, classifier: Classifier) -> None:
    other = load(str(checkpoint.states(run.checkpoints)[0]))
    assert other.classes == classifier.classes == tuple(COLOURS)
    assert other(picture("blue", 1)) == classifier(picture("blue", 1))
    assert residua.load(run.path)(picture("blue", 1)) == classifier(picture("blue", 1))


def test_a_run_is_not_taken_for_its_older_state(tmp_path: Path) -> None:
    run = fresh(tmp_path, recipe(), colours())
    newest, older = checkpoint.states(run.checkpoints)
    flip(newest)
    with pytest.raises(CheckpointError, match="is damaged"):
        load(newest)
    with pytest.raises(CheckpointError, match=f"is damaged .*or make it again: residua resume {tmp_path}"):
        load_network(run.path)
    load_network(older)


def test_a_run_that_was_never_trained_is_refused(tmp_path: Path) -> None:
    create(tmp_path, recipe(), identity={})
    with pytest.raises(CheckpointError, match="holds no training state"):
        load(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere cannot be opened"):
        load(tmp_path / "nowhere")


def test_what_is_no_picture_is_named(classifier: Classifier, tmp_path: Path) -> None:
    file = tmp_path / "letter.jpg"
    file.write_text("Dear Sir")
    with pytest.raises(DataError, match=r"letter\.jpg is not an image"):
        classifier(file)
    with pytest.raises(DataError, match="the image is not an image"):
        classifier(b"Dear Sir")
    with pytest.raises(DataError, match="mode CMYK: give RGB or L"):
        classifier(Image.new("CMYK", (8, 8)))


def test_a_jpeg_in_memory_is_read_through_the_same_gate(classifier: Classifier, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture("red", 3, side=40)).save(stream, "JPEG")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    assert classifier(stream.getvalue()) == classifier(tmp_path / "a.jpg")
