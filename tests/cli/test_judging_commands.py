"""`evaluate`, `compare` and `analyse` as people type them."""

import json
import re
from pathlib import Path

from command import complaint, residua, succeeded


def test_evaluate_gives_one_document_with_every_protocol(trained: Path, tmp_path: Path) -> None:
    page, table = tmp_path / "page.html", tmp_path / "answers.csv"
    words = ("evaluate", trained, "--views", "center,flip", "--json", "-o", page, "--predictions", table)
    scores = json.loads(succeeded(residua(*words)))["scores"]
    assert [score["views"] for score in scores] == ["center", "flip"]
    assert scores[0]["n"] == 18
    assert scores[0]["interval"][0] < scores[0]["top1"] <= scores[0]["interval"][1]
    assert set(scores[0]["macro"]) == {"value", "interval"}
    assert scores[0]["top5"] is None  # three classes
    assert page.stat().st_size > 5000
    assert len(table.read_text().splitlines()) == 19
    assert "--force" in complaint(residua(*words), 2)


def test_device_batch_size_and_workers_are_options_of_every_command_that_computes(
    trained: Path, tmp_path: Path
) -> None:
    chosen = ("--device", "cpu", "--batch-size", 5)
    words = ("evaluate", trained, "--views", "center,flip,multiscale", "--json")
    usual, ours = (
        json.loads(succeeded(residua(*words, *more)))["scores"] for more in ((), (*chosen, "--workers", 1))
    )
    assert [score["top1"] for score in ours] == [score["top1"] for score in usual]
    images = tmp_path.parent / "none"
    for name, *rest in (("evaluate",), ("predict", images), ("analyse", "--what", "features")):
        assert "'tpu'" in complaint(residua(name, trained, *rest, "--device", "tpu"), 2)
    assert "--batch-size" in complaint(residua("predict", trained, images, "--batch-size", 0), 2)
    assert "--workers" in complaint(residua("evaluate", trained, "--workers", -2), 2)


def test_evaluate_says_its_protocols_in_words(trained: Path) -> None:
    out = succeeded(residua("evaluate", trained, "--views", "10crop"))
    assert "10crop = four corners" in out
    assert "residua compare" in out.splitlines()[-1]


def test_compare_holds_a_run_against_itself(trained: Path, tmp_path: Path) -> None:
    out = succeeded(residua("compare", trained, trained, "-o", tmp_path / "page.html"))
    assert "0.00 (0.00 to 0.00)" in out
    assert (tmp_path / "page.html").exists()
    document = json.loads(succeeded(residua("compare", trained, trained, "--json")))
    assert document["pairs"][0]["p"] == document["pairs"][0]["p_holm"] == 1
    assert document["pairs"][0]["n"] == 18


def test_analyse_says_what_it_found_and_where_it_is(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "inside"
    output = succeeded(
        residua("analyse", trained, "--what", "responses,activations", "--images", 6, "-o", out)
    )
    assert "3×3 layer's response" in output
    assert output.splitlines()[-1] == f"next: open {out / 'analysis.html'}"
    assert sorted(path.name for path in out.iterdir()) == [
        "activations.svg",
        "analysis.html",
        "analysis.json",
        "responses-1.svg",
        "responses-2.svg",
    ]


def test_analyse_of_a_name_is_one_document_that_writes_nothing(tmp_path: Path) -> None:
    done = residua("analyse", "resnet18", "--what", "activations", "--json", cwd=tmp_path)
    assert json.loads(succeeded(done))["studies"]["activations"]["resnet18"]["stages"] == [2, 2, 2, 2]
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_one_line(trained: Path) -> None:
    assert "at least two" in complaint(residua("compare", trained), 2)
    refused = complaint(residua("evaluate", trained, "--weights", "EMA"), 2)
    assert re.search("'EMA'.*auto, raw, ema, best", refused)
    refused = complaint(residua("evaluate", trained, "--weights", "ema"), 5)
    assert "no moving average" in refused
    assert "no study 'grad-cam'" in complaint(residua("analyse", trained, "--what", "grad-cam"), 2)
    assert re.search("resnet51.*resnet50", complaint(residua("analyse", "resnet51"), 2))
    assert re.search("paths.*--data", complaint(residua("analyse", "resnet18", "--what", "paths"), 2))
