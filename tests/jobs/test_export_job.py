"""Exports: what agrees is written, what does not is not left on disk, and each says why."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import residua
from residua.data.open import open_dataset
from residua.errors import CheckpointError, ConfigError, MissingPackageError
from residua.events import Event, Note, PlanLine
from residua.jobs import export_request
from residua.jobs.export import export
from residua.nn.network import build
from residua.predict import folder
from residua.predict.export import targets
from residua.predict.export.graph import ExportGraph
from residua.runs.run import create
from residua.spec.zoo import arch as named_arch
from residua.tasks.run_data import identity
from small import arch, go, photo_folder, randomise_norms, recipe, split_folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved folder of a small network."""
    torch.manual_seed(0)
    network = build(arch())
    randomise_norms(network)
    network.class_names = ("blue", "green", "red")
    return folder.save(network.eval(), tmp_path_factory.mktemp("saved") / "colours")


def wrong(write: Callable[[ExportGraph, Path], None]) -> Callable[[ExportGraph, Path], None]:
    """A writer whose file has other weights."""

    def write_wrong(graph: ExportGraph, file: Path) -> None:
        with torch.no_grad():
            for value in graph.program.state_dict.values():
                value.mul_(1.1)
        write(graph, file)

    return write_wrong


def test_that_an_export_predicts_what_the_network_predicts(saved: Path, tmp_path: Path) -> None:
    result = residua.export(saved, to="onnx", out=tmp_path)
    photo = photo_folder(tmp_path / "photos", count=1) / "red" / "00.jpg"
    file = tmp_path / "colours.onnx"
    assert [Path(each.path) for each in result.files] == [file]
    expected, exported = (residua.load(each)(photo) for each in (saved, file))
    assert exported.classes == expected.classes
    np.testing.assert_allclose(exported.probabilities, expected.probabilities, atol=1e-5)


def test_that_an_export_that_disagrees_is_not_left_on_disk(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = replace(targets.PT2, write=wrong(targets.PT2.write))
    monkeypatch.setitem(targets.TARGETS, "pt2", bad)
    (tmp_path / "colours.pt2").write_text("the export before")
    with pytest.raises(CheckpointError, match="differs"):
        export(saved, "pt2", out=tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["colours.pt2"]
    assert (tmp_path / "colours.pt2").read_text() == "the export before"


def test_that_openvino_writes_two_files_and_names_the_digest_of_each(saved: Path, tmp_path: Path) -> None:
    result = export(saved, "openvino", out=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["colours.bin", "colours.xml"]
    assert sorted(result.files[0].sha256) == sorted(map(str, tmp_path.iterdir()))


def test_that_a_run_is_compared_on_its_own_test_images_or_else_on_generated_ones(tmp_path: Path) -> None:
    data = split_folder(tmp_path / "photos")
    dataset = open_dataset(str(data), val_fraction=0.2)
    run = create(tmp_path / "run", recipe(str(data)), identity=identity(dataset, {}))
    go(run, dataset)
    events: list[Event] = []
    compared = _compared(run.path, tmp_path, events)
    assert "12 of 12" in compared
    assert not [event for event in events if isinstance(event, Note)]
    data.rename(tmp_path / "moved")
    assert "generated" in _compared(run.path, tmp_path, events)
    assert [event for event in events if isinstance(event, Note)]
    assert "of 12" in _compared(run.path, tmp_path, events, verify=str(tmp_path / "moved"))


def _compared(path: Path, out: Path, events: list[Event], verify: object = None) -> str:
    return export(path, "pt2", verify=verify, out=out, force=True, listen=events.append).images


def test_that_the_plan_says_what_the_graph_reads(saved: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    export(saved, "pt2", with_preprocessing=True, out=tmp_path / "model.pt2", listen=events.append)
    plan = [event.text for event in events if isinstance(event, PlanLine)]
    assert any("uint8" in line for line in plan)
    assert (tmp_path / "model.pt2").exists()


def test_that_a_network_for_clips_is_exported_as_it_is(tmp_path: Path) -> None:
    clips = build(_small_clip_arch())
    folder.save(clips, tmp_path / "clips")
    assert export(tmp_path / "clips", "pt2", out=tmp_path).files
    with pytest.raises(ConfigError, match="preprocessing"):
        export(tmp_path / "clips", "pt2", with_preprocessing=True, out=tmp_path, force=True)


def _small_clip_arch() -> Any:
    plain = named_arch("resnet3d18")
    return replace(plain, classes=3, preprocess=replace(plain.preprocess, size=32, resize=32))


@pytest.mark.parametrize("to", ["onxx", "", "onnx,tensorrt"])
def test_that_an_unknown_target_is_refused_before_any_work(saved: Path, tmp_path: Path, to: str) -> None:
    with pytest.raises(ConfigError, match="target"):
        export(saved, to, out=tmp_path)


def test_that_a_missing_package_is_named_with_its_extra(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_request, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(MissingPackageError, match="onnx"):
        export(saved, "onnx", out=tmp_path)


@pytest.mark.parametrize("name", ["colours.xml", "colours.bin"])
def test_that_a_file_that_exists_is_not_replaced_unasked(saved: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="force"):
        export(saved, "openvino", out=tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_that_a_missing_folder_is_made_and_a_file_is_none(saved: Path, tmp_path: Path) -> None:
    assert export(saved, "pt2", out=tmp_path / "missing" / "deeper").files
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="folder"):
        export(saved, "pt2,onnx", out=tmp_path / "file")


@pytest.mark.parametrize(
    ("layout", "to", "entries"),
    [
        ("triton", "onnx", {"colours/config.pbtxt", "colours/labels.txt", "colours/1/model.onnx"}),
        ("ovms", "openvino", {"config.json", "colours/1/model.xml", "colours/1/model.bin"}),
        ("kserve", "onnx", {"colours.yaml", "model/model.onnx"}),
    ],
)
def test_that_a_layout_holds_the_file_in_the_place_of_its_server(
    layout: Any, to: str, entries: set[str], saved: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (file,) = export(saved, to, layout=layout, out=repository).files
    assert {str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()} == entries
    assert file.sha256 == {path: sha256(Path(path).read_bytes()).hexdigest() for path in file.sha256}
    photo = photo_folder(tmp_path / "photos", count=1) / "red" / "00.jpg"
    expected, exported = (residua.load(each)(photo) for each in (saved, file.path))
    np.testing.assert_allclose(exported.probabilities, expected.probabilities, atol=1e-5)
    with pytest.raises(FileExistsError, match="force"):
        export(saved, to, layout=layout, out=repository)
    (again,) = export(saved, to, layout=layout, out=repository, force=True).files
    assert again.path == file.path


@pytest.mark.parametrize(("layout", "to"), [("triton", "pt2"), ("tritn", "onnx"), ("ovms", "onnx,openvino")])
def test_that_a_layout_that_cannot_be_written_is_refused_before_any_work(
    layout: Any, to: str, saved: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"layout|laid out"):
        export(saved, to, layout=layout, out=tmp_path)
    assert [*tmp_path.iterdir()] == []
