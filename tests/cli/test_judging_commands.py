"""`evaluate`, `compare` and `analyse` as people type them."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from command import complaint, residua, succeeded
from residua.cli.app import app
from residua.errors import ConfigError
from residua.report.standalone import can_convert


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


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--batch-size", "5", "--workers", "1"),
        ("predict", "image.png", "--batch-size", "5"),
        ("analyse", "--what", "features", "--json"),
    ],
)
def test_a_command_that_computes_does_so_on_the_device_it_is_given(
    words: tuple[str, ...], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40)).save("image.png")
    name, *rest = words
    run = CliRunner()
    done = run.invoke(app, [name, str(trained), *rest, "--device", "tpu"])
    assert isinstance(done.exception, ConfigError)
    assert "'tpu'" in str(done.exception)
    assert run.invoke(app, [name, str(trained), *rest, "--device", "cpu"]).exit_code == 0
    assert isinstance(run.invoke(app, ["predict", "run", "x", "--batch-size", "0"]).exception, ConfigError)
    assert isinstance(run.invoke(app, ["evaluate", "run", "--workers", "-2"]).exception, ConfigError)


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
    figures = {"activations.svg", "responses-1.svg", "responses-2.svg"}
    if can_convert():
        figures |= {str(Path(name).with_suffix(kind)) for name in figures for kind in (".pdf", ".png")}
    assert {path.name for path in out.iterdir()} == {*figures, "analysis.html", "analysis.json"}


def test_analyse_of_a_name_is_one_document_that_writes_nothing(tmp_path: Path) -> None:
    done = residua("analyse", "resnet18", "--what", "activations", "--json", cwd=tmp_path)
    assert json.loads(succeeded(done))["studies"]["activations"]["resnet18"]["stages"] == [2, 2, 2, 2]
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_one_line(trained: Path) -> None:
    assert "at least two" in complaint(residua("compare", trained), 2)
    refused = complaint(residua("evaluate", trained, "--weights", "EMA"), 2)
    assert re.search("'EMA'.*ema", refused)
    refused = complaint(residua("evaluate", trained, "--weights", "ema"), 5)
    assert "no moving average" in refused
    assert "no study 'grad-cam'" in complaint(residua("analyse", trained, "--what", "grad-cam"), 2)
    assert re.search("resnet51.*resnet50", complaint(residua("analyse", "resnet51"), 2))
    assert re.search("paths.*--data", complaint(residua("analyse", "resnet18", "--what", "paths"), 2))
