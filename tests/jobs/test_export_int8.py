"""`residua export --int8`: files that people use, and what is refused without leaving a trace."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import residua
from colour_network import colour_network, stretched_network
from residua.errors import CheckpointError, ConfigError
from residua.jobs.exported_files import Export, ExportedFile, Int8Result
from residua.predict.export import int8
from residua.predict.export.int8_targets import TARGETS
from small import picture, split_folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_folder(tmp_path_factory.mktemp("photos"), train=8, val=6, side=15)


def exported(folder: Path, photos: Path | None, to: str = "onnx", **options: Any) -> Export:
    """The small network in int8, as a user exports it."""
    residua.save(colour_network(), folder / "colours")
    return residua.export(folder / "colours", to, int8=True, verify=photos, **{"out": folder} | options)


def int8_of(file: ExportedFile) -> Int8Result:
    assert file.int8
    return file.int8


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_that_an_int8_file_predicts_and_says_what_it_costs(to: str, tmp_path: Path, photos: Path) -> None:
    (file,) = exported(tmp_path, photos, to).files
    assert [Path(path).read_bytes() != b"" for path in file.sha256] == [True] * (1 + (to == "openvino"))
    assert file.size == sum(Path(path).stat().st_size for path in file.sha256)
    classifier = residua.load(file.path)
    assert classifier(picture("red", 77, 31)).top(1)[0][0] == "red"
    result = int8_of(file)
    assert result.accuracy.drop <= int8.MAX_DROP
    assert result.accuracy.after.n == 18
    assert "24 images of train" in result.accuracy.calibration
    assert set(result.speedup) == {1, 16}
    assert file.parity.agrees


def test_that_a_graph_with_preprocessing_reads_images_of_any_size(tmp_path: Path, photos: Path) -> None:
    import onnxruntime

    (file,) = exported(tmp_path, photos, with_preprocessing=True).files
    session = onnxruntime.InferenceSession(file.path, providers=["CPUExecutionProvider"])
    for side in (12, 40):
        image = np.asarray(Image.fromarray(picture("green", 5, 12)).resize((side + 3, side)))
        (logits,) = session.run(None, {"images": image[None]})
        assert residua.load(tmp_path / "colours").classes[int(logits.argmax())] == "green"
    assert int8_of(file).accuracy.drop <= int8.MAX_DROP


def test_that_nothing_is_left_of_a_file_that_loses_too_much(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "STEPS", ())
    residua.save(stretched_network(), tmp_path / "stretched")
    before = {*tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match="max-drop"):
        residua.export(tmp_path / "stretched", int8=True, verify=photos, out=tmp_path)
    assert {*tmp_path.iterdir()} == before


def with_other_weights(model: bytes) -> bytes:
    """An ONNX file with the largest of its initializers shifted by one."""
    import onnx

    other = onnx.load_from_string(model)
    tensor = max(other.graph.initializer, key=lambda each: len(each.raw_data))
    tensor.raw_data = tensor.raw_data[1:] + tensor.raw_data[:1]
    return other.SerializeToString()


@pytest.mark.parametrize("damage", [with_other_weights, lambda model: model[:-1]], ids=["weights", "cut"])
@pytest.mark.parametrize("with_preprocessing", [False, True])
def test_that_a_file_that_computes_something_else_once_loaded_is_not_kept(
    with_preprocessing: bool,
    damage: Callable[[bytes], bytes],
    tmp_path: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onnx_target = TARGETS["onnx"]

    def save_damaged(model: bytes, file: Path) -> None:
        onnx_target.save(damage(model), file)

    monkeypatch.setitem(TARGETS, "onnx", replace(onnx_target, save=save_damaged))
    with pytest.raises(CheckpointError, match=r"colours-int8\.onnx"):
        exported(tmp_path, photos, with_preprocessing=with_preprocessing)
    assert [path.name for path in tmp_path.iterdir()] == ["colours"]


def test_that_out_may_name_the_file_and_a_folder_that_is_missing(tmp_path: Path, photos: Path) -> None:
    (file,) = exported(tmp_path, photos, out=tmp_path / "new" / "small.onnx").files
    assert file.path == str(tmp_path / "new" / "small.onnx")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["small.onnx"]


def test_that_a_second_file_that_exists_is_not_replaced_unasked(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "colours-int8.bin").write_text("mine")
    with pytest.raises(FileExistsError, match="force"):
        exported(tmp_path, photos, "openvino")
    assert (tmp_path / "colours-int8.bin").read_text() == "mine"


def test_that_a_network_without_images_asks_for_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--verify"):
        exported(tmp_path, None)


def test_that_targets_without_int8_are_refused(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(ConfigError, match="openvino"):
        exported(tmp_path, photos, "pt2")
