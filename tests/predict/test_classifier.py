"""One picture gets one prediction, whatever form it has; predicting needs no training code."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import residua
from residua.errors import CheckpointError, ConfigError, DataError
from residua.predict.classifier import Classifier, load
from residua.predict.predictor import inference_plan, load_network, predict_files
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
    expected = classifier(file)
    for same in (str(file), file.read_bytes(), Image.fromarray(pixels), pixels):
        assert classifier(same) == expected
    assert sum(expected.probabilities) == pytest.approx(1, abs=1e-5)


def test_grey_pictures_are_predicted_as_their_colour_twins(classifier: Classifier) -> None:
    grey = picture("red", 7)[:, :, 0]
    coloured = np.stack([grey] * 3, 2)
    assert classifier(grey) == classifier(coloured) == classifier(Image.fromarray(grey))


def test_many_pictures_are_predicted_as_each_alone(classifier: Classifier) -> None:
    pictures = [picture(colour, seed, side=12 + 5 * seed) for seed in range(4) for colour in COLOURS]
    for together, alone in zip(classifier.many(pictures), map(classifier, pictures), strict=True):
        np.testing.assert_allclose(together.probabilities, alone.probabilities, atol=1e-5)


def test_no_pictures_have_no_predictions(classifier: Classifier) -> None:
    assert classifier.many([]) == []


def test_the_likeliest_come_first_under_their_names(classifier: Classifier) -> None:
    prediction = classifier(picture("green", 5))
    top = prediction.top(3)
    assert [name for name, _ in top] == sorted(
        COLOURS, key=lambda name: -prediction.probabilities[prediction.classes.index(name)]
    )
    assert prediction.top() == top[:1]
    assert prediction.top(50) == top


def test_a_trained_classifier_knows_its_colours(classifier: Classifier) -> None:
    right = [
        classifier(picture(colour, 900 + i)).top()[0][0] == colour for i in range(4) for colour in COLOURS
    ]
    assert sum(right) >= 10


def test_a_run_and_its_newest_file_hold_the_same_classifier(run: Run, classifier: Classifier) -> None:
    other = load(str(checkpoint.list_checkpoints(run.checkpoints)[0]))
    assert other.classes == classifier.classes == tuple(COLOURS)
    assert other(picture("blue", 1)) == classifier(picture("blue", 1))
    assert residua.load(run.path)(picture("blue", 1)) == classifier(picture("blue", 1))


def test_a_run_is_not_taken_for_its_older_state(tmp_path: Path) -> None:
    run = fresh(tmp_path, recipe(), colours())
    newest, older = checkpoint.list_checkpoints(run.checkpoints)
    flip(newest)
    with pytest.raises(CheckpointError, match="is damaged"):
        load(newest)
    with pytest.raises(CheckpointError, match=rf"damaged .*residua resume {tmp_path}"):
        load_network(run.path)
    load_network(older)


def test_a_run_that_was_never_trained_is_refused(tmp_path: Path) -> None:
    create(tmp_path, recipe(), identity={})
    with pytest.raises(CheckpointError, match="no training state"):
        load(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_what_is_no_picture_is_named(classifier: Classifier, tmp_path: Path) -> None:
    file = tmp_path / "letter.jpg"
    file.write_text("Dear Sir")
    with pytest.raises(DataError, match=r"letter\.jpg is not an image"):
        classifier(file)
    with pytest.raises(DataError, match="not an image"):
        classifier(b"Dear Sir")


def test_a_jpeg_in_memory_is_read_through_the_same_gate(classifier: Classifier, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture("red", 3, side=40)).save(stream, "JPEG")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    assert classifier(stream.getvalue()) == classifier(tmp_path / "a.jpg")


def test_a_file_that_cannot_be_read_does_not_stop_the_others(classifier: Classifier, tmp_path: Path) -> None:
    good, bad = tmp_path / "red.png", tmp_path / "letter.jpg"
    good.write_bytes(png(picture("red", 7)))
    bad.write_text("Dear Sir")
    first, second, third = predict_files(classifier.many, [good, bad, good], batch_size=3)
    assert isinstance(second, DataError)
    assert not isinstance(first, DataError)
    assert first == third == classifier(good)


def test_a_predictor_knows_its_device_precision_and_weights(run: Run) -> None:
    plan = load(run.path, device="cpu").plan
    assert (plan.device, plan.memory_format, plan.precision) == ("cpu", "channels_last", "float32")
    assert load(run.path, device="cpu", precision="bfloat16").plan.precision == "bfloat16"
    assert load(run.path).weights == "raw"
    with pytest.raises(ConfigError, match="no precision 'half'"):
        load(run.path, precision="half")


def test_precision_auto_is_what_the_run_measured_on_the_same_kind_of_device(tmp_path: Path) -> None:
    measured = replace(recipe(), plan=replace(recipe().plan, device="cpu", precision="bfloat16"))
    elsewhere = replace(measured, plan=replace(measured.plan, device="cuda:0"))
    for name, run_recipe, expected in (("here", measured, "bfloat16"), ("there", elsewhere, "float32")):
        create(tmp_path / name, run_recipe, identity={})
        assert inference_plan(tmp_path / name, device="cpu", precision="auto").precision == expected
        assert inference_plan(tmp_path / name, device="cpu").precision == "float32"


def test_loading_and_predicting_import_nothing_of_training(run: Run, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png(picture("red", 7)))
    script = (
        "import sys, residua; from pathlib import Path; from residua import tasks; "
        "from residua.data.inputs import Inputs; from residua.tasks.predict_task import PredictOptions; "
        "run, file = Path(sys.argv[1]), Path(sys.argv[2]); "
        "residua.load(run)(file).top(); "
        "task = tasks.predict_task_of([run]); "
        "[next(iter(task.predict(task.load(run), Inputs.of_files([file]), PredictOptions()))).to_json()]; "
        "import residua.tasks.video.predict_task, residua.tasks.detect.predict_task; "
        "print([name for name in sys.modules if name.startswith('residua.training')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, run.path, tmp_path / "red.png"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
