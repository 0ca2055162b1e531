"""Exported files are evaluated as the networks they were made from: the same images, the same numbers."""

from pathlib import Path

import pytest

import residua
from colour_network import colour_network
from command import complaint, succeeded
from command import residua as run_residua
from exported_files import write_onnx, write_openvino
from residua.data.open import open_dataset, open_evaluation_split
from residua.errors import ConfigError, DataError
from residua.jobs.compare import compare
from residua.jobs.evaluate import evaluate_networks
from residua.measure.evaluate import OneProcess
from residua.nn.network import build
from residua.predict.folder import save
from residua.runs.run import create
from residua.tasks.classify.evaluations import ClassEvaluations
from residua.tasks.predict_task import EvaluationRequest
from residua.tasks.run_data import identity
from small import arch, go, photo_folder, recipe, split_folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_folder(tmp_path_factory.mktemp("photos"), train=2, val=7, side=15)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residua.save(colour_network(), tmp_path_factory.mktemp("saved") / "colours")


@pytest.mark.parametrize("with_preprocessing", [False, True])
def test_an_export_has_the_accuracy_and_the_loss_of_its_network(
    with_preprocessing: bool, saved: Path, photos: Path, tmp_path: Path
) -> None:
    residua.export(saved, "onnx,openvino", with_preprocessing=with_preprocessing, out=tmp_path)
    expected, *scores = residua.evaluate(
        [saved, tmp_path / "colours.onnx", tmp_path / "colours.xml"], data=photos
    )
    assert expected.n == 21
    for score in scores:
        assert (score.top1, score.n, score.views, score.weights) == (expected.top1, 21, "center", "float32")
        assert score.loss.value == pytest.approx(expected.loss.value, abs=1e-3)
    (pair,) = compare([saved, tmp_path / "colours.onnx"], data=photos)
    assert pair.comparison.difference.value == 0


def test_beside_a_run_an_export_is_evaluated_on_the_test_images_of_the_run(tmp_path: Path) -> None:
    source = str(photo_folder(tmp_path / "photos"))  # without a split: some are held out
    dataset = open_dataset(source, val_fraction=0.2)
    run = create(tmp_path / "run", recipe(source), identity=identity(dataset, {}))
    go(run, dataset)
    file = residua.export(run, out=tmp_path).files[0].path
    for data in (None, source):
        first, second = residua.evaluate([run, file], data=data)
        assert (first.n, first.top1) == (second.n, second.top1)
        assert first.n == len(dataset.test) < 24
    (pair,) = compare([run, file])
    assert pair.comparison.difference.value == 0


class Half(OneProcess):
    """One of two processes, which computes every second image; the other one's are missing."""

    def gather(self, own: list[object]) -> list[object]:  # type: ignore[override]
        assert len(own) == 10
        return [row for row in own for _ in range(2)] + own[-1:]


def test_processes_share_the_images(photos: Path, tmp_path: Path) -> None:
    file = write_onnx(tmp_path / "m.onnx")
    whole, half = (
        evaluate_networks([file], EvaluationRequest(str(photos)), world=world)
        for world in (OneProcess(), Half(1, 2))
    )
    assert isinstance(whole, ClassEvaluations)
    assert isinstance(half, ClassEvaluations)
    rows = [one.evaluations[0].probabilities for one in (whole, half)]
    assert (rows[0][1::2] == rows[1][1:20:2]).all()


def test_an_export_is_evaluated_under_its_own_view_on_data_that_are_given(
    photos: Path, tmp_path: Path
) -> None:
    file = write_openvino(tmp_path / "m.xml")
    with pytest.raises(ConfigError, match="--data"):
        residua.evaluate(file)
    with pytest.raises(ConfigError, match="center"):
        residua.evaluate(file, data=photos, views=["10crop"])
    with pytest.raises(ConfigError, match="exported file"):
        residua.evaluate(file, data=photos, weights="ema")
    with pytest.raises(ConfigError, match="exported file"):
        residua.evaluate(file, data=photos, device="cuda")
    (photos / "val" / "red" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png"):
        residua.evaluate(file, data=photos)
    (photos / "val" / "red" / "broken.png").unlink()
    assert "100.00 %" in succeeded(run_residua("evaluate", file, "--data", photos))
    assert "--data" in complaint(run_residua("evaluate", file), 2)


def test_a_network_without_class_names_has_their_numbers(photos: Path, tmp_path: Path) -> None:
    network = save(build(arch()).eval(), tmp_path / "nameless")
    photo = photos / "val" / "red" / "00.jpg"
    assert {name for name, _ in residua.load(network)(photo).top(3)} == {"0", "1", "2"}
    printed = succeeded(run_residua("predict", network, photo, "--topk", 3))
    assert all(f" {name} " in printed for name in "012")
    assert open_evaluation_split(str(photos), classes=("blue", "green", "red")).classes[0] == "blue"
    with pytest.raises(DataError, match="blue"):
        residua.evaluate(network, data=photos)
