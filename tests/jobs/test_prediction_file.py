"""Predictions in a file: written while they are made, continued after an interruption, never mixed up."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exported_files import write_onnx
from residua.errors import ConfigError, RunBusyError
from residua.files import file_lock
from residua.jobs import prediction_file
from residua.jobs.predict import PredictJob, PredictRequest, open_job, predict, predict_into
from residua.tasks.predict_task import Predictions, PredictOptions
from small import photo_folder

ENDINGS = [".csv", ".jsonl", ".parquet"]


class Interruption(Exception):
    """What ends a prediction too early."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = photo_folder(tmp_path / "photos", count=5)
    (folder / "green" / "02.png").write_bytes(b"no image")
    return folder


def job(photos: Path, **options: Any) -> PredictJob:
    network = photos.parent / "m.onnx"
    if not network.exists():
        write_onnx(network)
    return open_job(PredictRequest(network, (str(photos),), PredictOptions(batch_size=2, **options)))


def ends_after(batches: int) -> Callable[[Predictions], None]:
    """Interrupts behind so many batches."""
    left = iter(range(batches))

    def listen(_: Predictions) -> None:
        if next(left, None) is None:
            raise Interruption

    return listen


def content(out: Path) -> list[dict[str, Any]]:
    """The rows of a finished file."""
    if out.suffix == ".csv":
        with out.open(newline="") as file:
            return list(csv.DictReader(file))
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_text().splitlines()]
    rows: list[dict[str, Any]] = pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()
    return rows


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupted_file_continues_and_equals_one_in_a_single_turn(
    ending: str, photos: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    progress = predict_into(whole, job(photos, topk=2), force=False)
    assert (progress.done, progress.errors) == (15, 1)
    starts: list[int] = []
    for batches in (1, 3):
        with pytest.raises(Interruption):
            predict_into(
                out,
                job(photos, topk=2),
                force=False,
                begin=lambda file: starts.append(file.progress.done),
                listen=ends_after(batches),
            )
        assert not out.exists()
    progress = predict_into(
        out, job(photos, topk=2), force=False, begin=lambda file: starts.append(file.progress.done)
    )
    assert starts == [0, 4, 12]
    assert (progress.done, progress.errors) == (15, 1)
    assert out.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.glob("*.partial*")] == []
    rows = content(out)
    assert len(rows) == 15
    assert sum(bool(row.get("error")) for row in rows) == 1


def test_rows_behind_the_recorded_progress_are_predicted_again(photos: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out.csv", tmp_path / "whole.csv"
    predict_into(whole, job(photos), force=False)
    with pytest.raises(Interruption):
        predict_into(out, job(photos), force=False, listen=ends_after(2))
    partial = tmp_path / "out.csv.partial"
    partial.write_bytes(partial.read_bytes() + 1000 * b"photos/red/0")  # what a kill may leave
    predict_into(out, job(photos), force=False)
    assert out.read_bytes() == whole.read_bytes()


def test_the_progress_is_recorded_while_rows_are_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_file, "SECONDS", -1.0)
    out, lengths = tmp_path / "out.csv", []

    def listen(_: Predictions) -> None:
        recorded = json.loads((tmp_path / "out.csv.partial.json").read_text())
        assert recorded["bytes"] == (tmp_path / "out.csv.partial").stat().st_size
        lengths.append(recorded["done"])

    predict_into(out, job(photos), force=False, listen=listen)
    assert lengths == [2, 4, 6, 8, 10, 12, 14, 15]


def more_images(photos: Path) -> None:
    (photos / "red" / "09.png").write_bytes((photos / "red" / "01.png").read_bytes())


def another_network(photos: Path) -> None:
    path = photos.parent / "m.onnx"
    path.write_bytes(path.read_bytes().replace(b"0" * 64, b"1" * 64))


@pytest.mark.parametrize(
    ("change", "options", "word"),
    [
        (more_images, {}, "images"),
        (another_network, {}, "network"),
        (None, {"topk": 2}, "options"),
        (None, {"least": 0.5}, "options"),
        (None, {"mirrored": True}, "options"),
    ],
)
def test_what_was_begun_otherwise_is_continued_by_no_one_but_begun_anew_by_force(
    change: Callable[[Path], None] | None, options: dict[str, Any], word: str, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(Interruption):
        predict_into(out, job(photos), force=False, listen=ends_after(1))
    before = (tmp_path / "out.csv.partial").read_bytes()
    if change:
        change(photos)
    with pytest.raises(ConfigError, match=rf"{word}.*--force"):
        predict_into(out, job(photos, **options), force=False)
    assert (tmp_path / "out.csv.partial").read_bytes() == before
    starts: list[int] = []
    predict_into(
        out, job(photos, **options), force=True, begin=lambda file: starts.append(file.progress.done)
    )
    assert starts == [0]
    assert len(content(out)) == len([*photos.rglob("*.*")])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"network": 1}'])
def test_a_damaged_record_is_reported(text: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv.partial.json").write_text(text)
    with pytest.raises(ConfigError, match="--force"):
        predict_into(tmp_path / "out.csv", job(photos), force=False)


def test_a_partial_file_that_lost_rows_is_reported(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(Interruption):
        predict_into(tmp_path / "out.csv", job(photos), force=False, listen=ends_after(3))
    (tmp_path / "out.csv.partial").write_text("file")
    with pytest.raises(ConfigError, match=r"shorter.*--force"):
        predict_into(tmp_path / "out.csv", job(photos), force=False)


def test_two_processes_never_write_one_file(photos: Path, tmp_path: Path) -> None:
    with file_lock(tmp_path / "out.csv.partial"), pytest.raises(RunBusyError, match=r"out\.csv\.partial"):
        predict_into(tmp_path / "out.csv", job(photos), force=False)


def test_a_large_parquet_file_has_several_row_groups(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(prediction_file, "ROW_GROUP", 4)
    out = tmp_path / "out.parquet"
    predict_into(out, job(photos, topk=2), force=False)
    assert parquet.ParquetFile(out).num_row_groups == 4
    predictions, _ = predict(tmp_path / "m.onnx", [photos], PredictOptions(topk=2, batch_size=2))
    head, rows = predictions.columns()
    assert [tuple(row.values()) for row in content(out)] == rows
    assert tuple(content(out)[0]) == head


def test_classes_below_the_confidence_are_left_out(photos: Path, tmp_path: Path) -> None:
    every, _ = predict(write_onnx(tmp_path / "m.onnx"), [photos], PredictOptions(topk=3))
    sure, _ = predict(tmp_path / "m.onnx", [photos], PredictOptions(topk=3, least=0.6))
    for row, other in zip(every.to_json(), sure.to_json(), strict=True):
        assert other["top"] == [pair for pair in row["top"] if pair["probability"] >= 0.6]
    nothing, _ = predict(tmp_path / "m.onnx", [photos], PredictOptions(least=1.0))
    assert sorted(map(repr, nothing.best_classes)) == ["''"] * 14 + ["None"]
    assert len(re.findall("unsure", str([*nothing.table().rows]))) == 14
    head, rows = nothing.columns()
    assert {row[1:3] for row in rows} == {("", None)}
    assert head == ("file", "class1", "probability1", "error")
