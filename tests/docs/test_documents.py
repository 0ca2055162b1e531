"""What README, Start, the notation page and the examples show is run, in order, as a newcomer would."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from command import python, residua, succeeded

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)


def shell(folder: Path, text: str) -> str:
    """What the lines print that the page tells to type, as a shell does it that knows this Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    words, env = ["sh", "-e"], {**os.environ, "PATH": path}
    return succeeded(subprocess.run(words, cwd=folder, input=text, text=True, capture_output=True, env=env))


def typed(folder: Path, text: str) -> str:
    """What its lines print, each one command with its words; unlike `shell`, none imports torch anew."""
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    assert all(line[0] == "residua" for line in lines)
    return "".join(succeeded(residua(*words, cwd=folder)) for _, *words in lines)


def by_python(folder: Path, text: str) -> str:
    return succeeded(python("-c", text, cwd=folder))


@pytest.mark.timeout(300)
@pytest.mark.battery
def test_every_block_of_the_tour_runs_in_order(tmp_path: Path) -> None:
    tour, readme = ROOT / "docs/start/five-minutes.md", ROOT / "README.md"
    blocks = BLOCK.findall(tour.read_text() + readme.read_text())
    assert [kind for kind, _ in blocks] == ["python", "sh", "sh", "sh", "python", "sh", "python"]
    runs = [by_python, typed, shell, typed, by_python, typed, by_python]
    outputs = [run(tmp_path, text) for run, (_, text) in zip(runs, blocks, strict=True)]
    assert "no problem" in outputs[1]
    assert "next: residua evaluate" in outputs[2]
    assert "('digit " in outputs[4]
    assert "(CNA CNA CN)A × 6" in outputs[5]
    assert "('digit " in outputs[6]
    assert (tmp_path / "runs/photos/report.html").exists()
    assert len((tmp_path / "labels.csv").read_text().splitlines()) > 100


def test_the_notation_page_is_true() -> None:
    failures, tried = doctest.testfile(
        str(ROOT / "docs/explanation/notation.md"),
        module_relative=False,
        optionflags=doctest.IGNORE_EXCEPTION_DETAIL,
    )
    assert tried > 2
    assert not failures


@pytest.mark.battery
def test_the_page_on_video_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/video.md").read_text().partition("## Networks for clips")[2]
    blocks = [block for kind, block in BLOCK.findall(text.partition("\n## ")[0]) if kind == "python"]
    output = succeeded(python("-c", "\n".join(blocks), cwd=tmp_path))
    assert re.search(r"8 frames together, .* 2 \| .* 8 segments", output)
    assert "torch.Size([1, 5])" in output
    assert "17 windows inflated" in output


@pytest.mark.battery
def test_the_page_on_python_runs(tmp_path: Path) -> None:
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:80], digits.target, strict=False)):
        file = tmp_path / "photos" / f"digit {label}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype("uint8")).save(file)
    blocks = [block for _, block in BLOCK.findall((ROOT / "docs/how-to/python.md").read_text())]
    output = by_python(tmp_path, "\n".join(blocks))
    assert re.search(r"Run\('runs/photos-1'.*, 3 epochs, test error", output)
    assert re.search(r"Prediction\(.*\) \[Prediction", output)
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")
    assert (tmp_path / "pets/config.json").exists()


def test_one_gradient_is_followed(tmp_path: Path) -> None:
    text = (ROOT / "examples/one_gradient.py").read_text()
    lines = succeeded(python("-c", text, cwd=tmp_path)).splitlines()
    assert len(lines) == 20
    assert float(lines[-1].split()[1]) < float(lines[0].split()[1])


def test_the_readme_figure_is_the_committed_runs(tmp_path: Path) -> None:
    script, runs = ROOT / "examples/readme_figure.py", ROOT / "docs/results/demo"
    words = [sys.executable, script, runs, tmp_path / "demo.svg"]
    succeeded(subprocess.run(words, text=True, capture_output=True))
    assert (tmp_path / "demo.svg").read_text() == (ROOT / "docs/demo.svg").read_text()


def test_the_figure_of_the_page_on_seeing_is_what_its_command_draws(tmp_path: Path) -> None:
    command = re.search(r"residua (explain .*) --svg fig3.svg", (ROOT / "docs/how-to/seeing.md").read_text())
    assert command
    succeeded(residua(*command[1].split(), "--svg", tmp_path / "fig3.svg", cwd=tmp_path))
    assert (tmp_path / "fig3.svg").read_text() == (ROOT / "docs/how-to/fig3.svg").read_text()


def test_examples_are_short() -> None:
    for file in (ROOT / "examples").glob("*.py"):
        assert len(file.read_text().splitlines()) < 40, file
