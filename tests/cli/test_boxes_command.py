"""The commands on data with boxes."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from box_data import objects, recipe, thing, voc_folder, xml
from command import complaint, residua, start, succeeded, wait_for
from eyes import Eyes
from residua.runs.run import open_run
from small import file_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return voc_folder(tmp_path_factory.mktemp("voc"))


def test_a_detector_is_trained_stopped_resumed_evaluated_and_used(
    look: Eyes, root: Path, tmp_path: Path
) -> None:
    source, run = f"voc:{root}", tmp_path / "run"
    recipe_ = recipe(source)
    recipe_ = replace(recipe_, budget=replace(recipe_.budget, epochs=8))
    process = start("train", source, "--recipe", file_of(recipe_, tmp_path / "recipe.json"), "-o", run)
    wait_for(run, "checkpoints/best.safetensors", process)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 75, out + error
    assert "mAP@.5" in out
    assert "ssd64 on tiny:" in out
    assert "next: residua evaluate" in succeeded(residua("resume", run))
    assert open_run(run).finished
    scores = json.loads(
        succeeded(residua("evaluate", run, "--views", "voc", "--json", "-o", tmp_path / "p.html"))
    )
    assert scores["scores"][0]["views"] == "voc"
    assert scores["scores"][0]["n"] == 6
    assert (tmp_path / "p.html").stat().st_size > 5000
    words = ("predict", run, root / "JPEGImages", "--least", "0.01", "--draw", tmp_path / "drawn", "--json")
    predictions = json.loads(succeeded(residua(*words)))
    assert len(predictions) == len(list((tmp_path / "drawn").glob("*.png"))) == 18
    assert set(predictions[0]) == {"file", "boxes"}
    (tmp_path / "no.png").write_text("no image")
    done = residua("predict", run, tmp_path / "no.png")
    assert done.returncode == 4
    assert "no box" not in done.stdout
    look(tmp_path / "p.html")


def test_augmented_boxes_are_one_page(look: Eyes, root: Path, tmp_path: Path) -> None:
    page, recipe_ = tmp_path / "seen.html", file_of(recipe(f"voc:{root}"), tmp_path / "recipe.json")
    out = succeeded(residua("data", "augment", f"voc:{root}", "--recipe", recipe_, "-n", 2, "-o", page))
    assert "images  2, 3 epochs" in out
    assert page.read_text().count("<image") == 2 * (1 + 3)
    look(page)


def test_data_check_lists_invalid_boxes(look: Eyes, tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "voc", train=3, test=2)
    bad = thing("cell", (5, 5, 5, 5))
    (root / "Annotations/000001.xml").write_text(xml(objects(1), extra=bad))
    done = residua("data", "check", f"voc:{root}", "--json", "--strict", "-o", tmp_path / "sheet.html")
    assert done.returncode == 4
    findings = json.loads(done.stdout)["findings"]
    assert [one["key"] for one in findings if one["level"] == "problem"] == ["boxes"]
    assert "no area" in (tmp_path / "sheet.html").read_text()
    assert "Boxes of each class" in (tmp_path / "sheet.html").read_text()
    look(tmp_path / "sheet.html")
    assert "data.bad=skip" in complaint(residua("train", f"voc:{root}"), 4)
