"""`residua predict` as people run it: files of every kind, interruptions, mistakes, and no torch."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from command import complaint, residua, start, succeeded, wait_for
from exported_files import write_onnx, write_openvino
from small import photo_folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos", count=5)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_exported_file_predicts_pictures_in_a_table(suffix: str, photos: Path, tmp_path: Path) -> None:
    network = (write_onnx if suffix == ".onnx" else write_openvino)(tmp_path / f"m{suffix}")
    out = succeeded(residua("predict", network, photos, "--topk", 2, "--tta"))
    lines = out.splitlines()
    assert len(lines) == 1 + 15 + 1
    assert all(line.split()[1] == Path(line.split()[0]).parent.name for line in lines[1:16])


def test_pictures_are_sorted_and_unsure_ones_apart(photos: Path, tmp_path: Path) -> None:
    network = write_onnx(tmp_path / "m.onnx", scale=0.01)
    out = succeeded(
        residua("predict", network, photos, "--min-confidence", 0.5, "--sort-into", tmp_path / "s")
    )
    assert out.count("unsure") == 15
    assert len([*(tmp_path / "s" / "unsure").iterdir()]) >= 5
    assert "15 images sorted into" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_was_interrupted_continues(number: signal.Signals, tmp_path: Path) -> None:
    photos, network, out = tmp_path / "photos", write_onnx(tmp_path / "m.onnx"), tmp_path / "labels.csv"
    photos.mkdir()
    # decoding takes seconds on the fastest machine: the first record of the progress is made after one
    Image.new("RGB", (900, 900), "red").save(photos / "0000.png")
    for i in range(1, 900):
        os.link(photos / "0000.png", photos / f"{i:04}.png")
    words = ("predict", network, photos, "-o", out, "--batch-size", 1, "--workers", 0)
    process = start(*words)
    wait_for(tmp_path, "labels.csv.partial.json", process)
    process.send_signal(number)
    _, error = process.communicate(60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "continues" in error
    assert not out.exists()
    done = json.loads((tmp_path / "labels.csv.partial.json").read_text())["done"]
    assert 0 < done < 900
    line = complaint(residua(*words, "--topk", 2), 2)
    assert "--force" in line
    again = residua(*words)
    assert f"{done} of 900" in again.stderr
    assert "900 of 900 images written" in succeeded(again)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(photos / f"{i:04}.png") for i in range(900)]
    assert {row["class1"] for row in rows} == {"red"}
    assert [path for path in tmp_path.iterdir() if "partial" in path.name] == []


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["--device", "cuda"], 2, "exported"),
        (["--draw", "d"], 2, "detectors"),
        (["--timeline", "t.html"], 2, "clips"),
        (["--min-confidence", "2"], 2, "--min-confidence"),
        (["-o", "no/labels.csv"], 2, "no is not"),
        (["-o", "labels.txt"], 2, r".csv"),
    ],
)
def test_a_mistake_with_an_exported_file_is_one_line(
    words: list[str], code: int, word: str, photos: Path, tmp_path: Path
) -> None:
    line = complaint(residua("predict", write_onnx(tmp_path / "m.onnx"), photos, *words, cwd=tmp_path), code)
    assert word in line


def test_a_damaged_exported_file_is_one_line(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(write_onnx(tmp_path / "n.onnx").read_bytes()[:100])
    assert "m.onnx" in complaint(residua("predict", tmp_path / "m.onnx", photos), 5)
    assert "m.onnx" in complaint(residua("evaluate", tmp_path / "m.onnx", "--data", photos), 5)


BLOCKED = """
import sys
for name in ("torch", "torchvision", "scipy", "sklearn", "safetensors", "jinja2", *{others!r}):
    sys.modules[name] = None
sys.argv = ["residua", *{words!r}]
from residua.__main__ import main
main()
"""


@pytest.mark.parametrize(("suffix", "other"), [(".onnx", "openvino"), (".xml", "onnxruntime")])
def test_an_exported_file_predicts_where_torch_is_not_installed(
    suffix: str, other: str, photos: Path, tmp_path: Path
) -> None:
    network = (write_onnx if suffix == ".onnx" else write_openvino)(tmp_path / f"m{suffix}")
    out = tmp_path / "labels.csv"
    words = ["predict", network, photos, "-o", out, "--sort-into", tmp_path / "sorted"]
    text = BLOCKED.format(words=[*map(str, words)], others=[other, "onnx"])
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with out.open(newline="") as file:
        assert [row["class1"] for row in csv.DictReader(file)] == ["blue"] * 5 + ["green"] * 5 + ["red"] * 5
    text = f"import sys\nsys.modules['torch'] = None\nimport residua\nprint(residua.load({str(network)!r}))"
    loaded = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert loaded.stdout.startswith("ExportedClassifier(tiny: 3 classes")


def test_a_runtime_that_is_not_installed_is_named(photos: Path, tmp_path: Path) -> None:
    for network, module in (
        (write_onnx(tmp_path / "m.onnx"), "onnxruntime"),
        (write_openvino(tmp_path / "m.xml"), "openvino"),
    ):
        text = BLOCKED.format(words=["predict", str(network), str(photos)], others=[module])
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
        assert f"pip install 'residua[{module.removesuffix('runtime')}]'" in complaint(done, 2)


@pytest.mark.battery
@pytest.mark.timeout(600)
def test_the_documented_installation_without_torch_predicts_a_photo_in_time(tmp_path: Path) -> None:
    project = Path(__file__).parents[2]
    page = (project / "docs/how-to/predicting.md").read_text()
    (packages,) = [line for line in page.splitlines() if line.startswith("$ pip install numpy")]
    venv, python = tmp_path / "venv", tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    for words in (["--no-deps", project], packages.partition("#")[0].split()[3:]):
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", *words], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("no package index can be reached")
    photo = photo_folder(tmp_path / "photos", count=1, side=500) / "red" / "00.jpg"
    words = [python, "-m", "residua", "predict", write_onnx(tmp_path / "m.onnx"), photo]
    seconds = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
        after = os.times()  # of the processor: other programs on the machine do not count
        seconds.append(
            after.children_user - before.children_user + after.children_system - before.children_system
        )
        assert "red" in done.stdout.splitlines()[1]
    assert min(seconds) < 1.5
    missing = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert missing.returncode == 1
    shutil.rmtree(venv)
