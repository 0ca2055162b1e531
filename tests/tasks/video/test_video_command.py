"""The commands on clips: train, resume, evaluate, predict, and wrong input."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import clip_data
import small
from command import complaint, residua, succeeded
from eyes import Eyes
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run, load_run, resume
from residua.jobs.train_request import TrainRequest
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.preprocess import Preprocess


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that get brighter and clips that get darker: each frame is in both classes."""
    root = tmp_path_factory.mktemp("shades") / "clips"
    for split, count in (("train", 6), ("val", 3)):
        for i in range(count):
            frames = clip_data.numbered(12, 40, 32, seed=i)
            clip_data.write(root / split / "brighter" / f"{i}.mp4", frames)
            clip_data.write(root / split / "darker" / f"{i}.mp4", frames[::-1])
    return root


@pytest.fixture(scope="module")
def recipe(clips: Path) -> Path:
    recipe_ = small.recipe(f"video:{clips}")
    pixels = Preprocess(16, 20, (0.5,) * 3, (0.5,) * 3)
    arch = inflate(replace(recipe_.arch, preprocess=pixels, classes=2), Clip(3, 3))
    budget = replace(recipe_.budget, epochs=2, batch_size=4)
    return small.file_of(replace(recipe_, arch=arch, budget=budget), clips.parent / "recipe.json")


@pytest.fixture(scope="module")
def run(clips: Path, recipe: Path) -> Path:
    """A finished run, by the command."""
    path = clips.parent / "run"
    output = succeeded(residua("train", f"video:{clips}", "--recipe", recipe, "-o", path))
    assert "12 train + 6 val clips" in output
    assert re.search("3 frames .*every 3", output)
    return path


def test_a_run_on_clips_ends_in_a_report_with_both_accuracies(look: Eyes, run: Path) -> None:
    page = (run / "report.html").read_text()
    for words in (
        "clip-level accuracy",
        "video-level accuracy",
        "10 x 3 views",
        "majority class",
    ):
        assert words in page
    assert "of 25 a second" in page
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert "middle of each video" in page
    look(run / "report.html")


def test_an_interrupted_run_ends_with_the_same_weights(clips: Path, recipe: Path, tmp_path: Path) -> None:
    request = TrainRequest(f"video:{clips}", recipe=str(recipe))
    whole, torn = (create_run(prepare(request), tmp_path / name) for name in ("whole", "torn"))
    fit_run(whole, load_run(whole))
    stops = iter([False, False, False, False])
    fit_run(torn, load_run(torn), stop=lambda: next(stops, True))
    assert not torn.finished
    resume(torn.path)
    assert small.weights(whole) == small.weights(torn)
    assert whole.metrics[-1]["test_loss"] == torn.metrics[-1]["test_loss"]


def test_evaluate_reports_both_protocols_with_frames_and_rate(
    look: Eyes, run: Path, clips: Path, tmp_path: Path
) -> None:
    page = tmp_path / "judged.html"
    own = json.loads(succeeded(residua("evaluate", run, "--json", "-o", page)))["scores"]
    assert [score["views"] for score in own] == ["clip", "video"]
    assert [score["n"] for score in own] == [6, 6]
    assert re.search("3 frames .*every 3 .*25 a second; 10 x 3 views$", own[1]["clip"])
    other = json.loads(succeeded(residua("evaluate", run, "--data", f"video:{clips / 'val'}", "--json")))[
        "scores"
    ]
    assert [score["top1"] for score in other] == [score["top1"] for score in own]
    for output in ("clip-level accuracy", "video-level accuracy", "n = 6 clips", own[1]["clip"]):
        assert output in page.read_text()
    look(page)


def test_predict_classifies_clips_draws_timelines_and_skips_bad_ones(
    look: Eyes, run: Path, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.mp4").write_bytes((clips / "val" / "darker" / "0.mp4").read_bytes())
    (tmp_path / "new" / "b.mp4").write_bytes(b"no clip")
    done = residua("predict", run, tmp_path / "new", "--topk", 2, "--timeline", tmp_path / "t.html", "--json")
    assert done.returncode == 4
    assert "b.mp4 is no clip" in done.stderr
    good, bad = json.loads(done.stdout)
    assert sum(pair["probability"] for pair in good["top"]) == pytest.approx(1)
    assert "error" in bad
    page = (tmp_path / "t.html").read_text()
    assert "a.mp4" in page
    assert page.count("<circle") == 2 * 2 * 6, "two classes at the six places that a clip fits, drawn twice"
    assert complaint(
        residua("predict", run, tmp_path / "new" / "a.mp4", "--timeline", tmp_path / "t.html"), 2
    )
    assert "clips as files" in complaint(residua("predict", run, tmp_path / "none"), 4)
    look(tmp_path / "t.html")


def test_clips_and_images_are_not_confused(run: Path, tmp_path: Path) -> None:
    assert "--data video:DIR" in complaint(residua("evaluate", run, "--data", "digits"), 2)
    assert "clip, video" in complaint(residua("evaluate", run, "--views", "10crop"), 2)
    assert "--draw" in complaint(residua("predict", run, tmp_path, "--draw", "x"), 2)
    assert "networks for images" in complaint(residua("analyse", run), 2)
    for name in ("a", "b"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "1.txt").write_text("no clip")
    assert "holds no clip" in complaint(residua("train", f"video:{tmp_path / 'texts'}"), 4)


def test_check_looks_at_every_frame(look: Eyes, clips: Path, tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    report = json.loads(succeeded(residua("data", "check", f"video:{clips}", "-o", page, "--json")))
    assert report["images"] == 18
    assert report["classes"]["train"] == {"brighter": 6, "darker": 6}
    assert "h264" in page.read_text()
    assert "Clips of each class" in page.read_text()
    look(page)


def test_augmented_clips_are_one_page(look: Eyes, clips: Path, recipe: Path, tmp_path: Path) -> None:
    page = tmp_path / "seen.html"
    succeeded(residua("data", "augment", f"video:{clips}", "--recipe", recipe, "-n", 2, "-o", page))
    assert page.read_text().count("<image") == 2 * 3 * 3, (
        "two clips, two epochs and a test, three frames each"
    )
    look(page)
