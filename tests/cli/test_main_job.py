"""The main job from a folder of pictures to names in a table, and what people get wrong on the way."""

import csv
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import residua as python
from command import complaint, residua, start, succeeded, wait_for
from residua.runs.run import open_run
from residua.spec.recipe import Budget
from small import COLOURS, arch, file_of, flip, photo_folder, recipe, rows


def states(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("state-*.safetensors"), reverse=True)


def test_training_says_its_plan_each_epoch_and_what_comes_next(photos: Path, tmp_path: Path) -> None:
    out = succeeded(
        residua(
            "train",
            photos.name,
            *(
                "-m",
                "cifar_resnet20",
                "--from-scratch",
                "--epochs",
                2,
                "--set",
                "budget.batch_size=12",
                "--set",
                "plan.device=cpu",
            ),
            cwd=photos.parent,
            env=os.environ | {"HOME": str(tmp_path)},
        )
    )
    run = photos.parent / "runs" / "photos-1"
    words = [line.split()[0] for line in out.splitlines()]
    words = [word for word in words if word not in ("step", "hint")]  # of a poor result
    assert words == [
        "reading",
        "data",
        "model",
        "input",
        "recipe",
        "length",
        "plan",
        "compile",
        "update",
        "images",
        "run",
        "epoch",
        "epoch",
        "report",
        "next:",
    ]
    assert "36 train + 18 val images" in out
    assert "6 steps, 3 per epoch" in out
    assert (run / "report.html").exists()
    assert open_run(run).recipe.data.source == str(photos)
    assert [row["epoch"] for row in rows(run)] == [1, 2]


def test_a_run_is_judged_on_what_it_never_saw_as_a_table_and_as_json(trained: Path, photos: Path) -> None:
    (score,) = json.loads(succeeded(residua("evaluate", trained, "--json")))["scores"]
    assert set(score) >= {"views", "top1", "interval", "n"}
    assert (score["views"], score["n"], score["split"]) == ("center", 18, "val")
    assert score["top1"] > 80
    assert score["interval"][0] < score["top1"] <= score["interval"][1]
    out = succeeded(residua("evaluate", states(trained)[0], "--data", photos))
    assert f"{score['top1']:.2f} %" in out
    assert out.splitlines()[-1].startswith("next: residua predict")


def test_a_folder_with_some_classes_in_another_order_is_judged_by_name(trained: Path, tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "some", colours=["red", "green"], count=9)
    (score,) = json.loads(succeeded(residua("evaluate", trained, "--data", folder, "--json")))["scores"]
    assert score["n"] == 18
    assert score["top1"] > 80


def test_predict_names_pictures_in_a_table(trained: Path, photos: Path) -> None:
    out = succeeded(residua("predict", trained, photos / "val" / "red", "--topk", 2))
    lines = out.splitlines()
    assert len(lines) == 1 + 6 + 1
    assert sum("red" in line.split()[1] for line in lines[1:7]) >= 5
    assert lines[-1].startswith("next: ")


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_jsonl(path: Path) -> list[dict[str, str]]:
    predictions = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        pairs = {f"class{k}": pair["class"] for k, pair in enumerate(row["top"], 1)}
        predictions.append({"file": row["file"], "error": row.get("error", ""), **pairs})
    return predictions


def read_parquet(path: Path) -> list[dict[str, str]]:
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("suffix", "read"), [("csv", read_csv), ("jsonl", read_jsonl), ("parquet", read_parquet)]
)
def test_a_broken_picture_is_named_and_the_others_are_written(
    suffix: str,
    read: Callable[[Path], list[dict[str, str]]],
    trained: Path,
    photos: Path,
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(photos / "val", tmp_path / "new")
    broken = folder / "blue" / "99.png"
    broken.write_bytes((folder / "blue" / "01.png").read_bytes()[:60])
    out = tmp_path / f"labels.{suffix}"
    out.write_text("old")
    line = complaint(residua("predict", trained, folder, "--topk", 3, "-o", out, "--force"), 4)
    assert str(broken) in line
    predictions = read(out)
    assert len(predictions) == 19
    for row in predictions:
        if row["file"] == str(broken):
            assert row["error"] in line
            assert not row.get("class1")
        else:
            assert not row["error"]
            assert {row["class1"], row["class2"], row["class3"]} == set(COLOURS)
    right = [row["class1"] == Path(row["file"]).parent.name for row in predictions if not row["error"]]
    assert sum(right) >= 15


def test_json_is_one_document_even_when_a_picture_is_broken(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "letter.jpg").write_text("Dear Sir")
    good = photos / "val" / "red" / "00.jpg"
    done = residua("predict", trained, good, tmp_path / "letter.jpg", "--json", "-o", tmp_path / "a.csv")
    assert done.returncode == 4
    first, second = json.loads(done.stdout)
    assert first["top"][0]["class"] == "red"
    assert second["top"] == []
    assert "not an image" in second["error"]
    assert len(read_csv(tmp_path / "a.csv")) == 2


def test_an_answer_file_is_not_overwritten_unless_forced(trained: Path, photos: Path, tmp_path: Path) -> None:
    out, image = tmp_path / "labels.csv", photos / "val" / "red" / "00.jpg"
    out.write_text("mine")
    line = complaint(residua("predict", trained, image, "-o", out), 2)
    assert "--force" in line
    assert out.read_text() == "mine"


def test_names_that_are_no_text_are_answered_too(trained: Path, photos: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9 [bold] $(id).png"
    shutil.copy(photos / "val" / "red" / "01.png", odd)
    done = residua("predict", trained, tmp_path, "--json", "-o", tmp_path / "a.jsonl")
    assert succeeded(done)
    assert os.fsencode(json.loads(done.stdout)[0]["file"]) == odd
    assert os.fsencode(json.loads((tmp_path / "a.jsonl").read_text())["file"]) == odd


MISTAKES: list[tuple[list[str], int, str]] = [
    (["train", "nowhere"], 4, "nowhere does not exist"),
    (["train", "digits", "-m", "cifar_resnet_20"], 2, "did you mean cifar_resnet20"),
    (["train", "digits", "--recipe", "he2015.cifa"], 2, "did you mean he2015.cifar"),
    (["train", "digits", "--set", "optim.rat=1"], 2, "'optim.rat': did you mean optim.lr"),
    (["train", "digits", "--set", "optim.lr"], 2, "NAME=VALUE"),
    (["train", "digits", "--set", "optim.lr=fast"], 2, "optim.lr is 'fast'"),
    (["train", "digits", "--set", "plan.device=abacus"], 2, "'abacus' cannot be used"),
    (["train", "digits", "--set", "plan.device=meta"], 2, "'meta' cannot be used"),
    (["train", "digits", "--set", "data.source=foo"], 2, "data.source is 'foo'"),
    (["train", "digits", "--set", "seed=2147483648"], 2, "at most 9 digits"),
    (["train", "digits", "--weights", "nowhere.pth"], 5, "nowhere.pth"),
    (["resume", "nowhere"], 2, "nowhere is no run"),
    (["evaluate", "nowhere", "--data", "digits"], 5, "nowhere does not exist"),
    (["train", "digits", "--set", "lr=1"], 2, "did you mean optim.lr?"),
    (["reproduce", "he2015/table1", "-o", "a.html"], 2, "give the folder"),
    (["analyse", "resnet18", "-o", "a.html"], 2, "give the folder"),
    (["demo", "-o", "a.html"], 2, "give the folder"),
    (["serve", "nowhere.onnx"], 5, "nowhere.onnx does not exist"),
    (["models", "resnet"], 2, "try '*resnet*'"),
    (["weights", "resnet"], 2, "try '*resnet*'"),
    (["explain", "resnet18", "--svg"], 2, "residua explain --help"),
]


@pytest.mark.parametrize(
    ("words", "code", "message"), MISTAKES, ids=[" ".join(words) for words, *_ in MISTAKES]
)
def test_a_mistake_is_one_line_and_its_code(
    words: list[str], code: int, message: str, tmp_path: Path
) -> None:
    assert message in complaint(residua(*words, cwd=tmp_path), code)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_class_and_a_text_called_jpg_are_named(photos: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "train" / "yellow").mkdir()
    line = complaint(residua("train", folder, "-o", tmp_path / "run"), 4)
    assert f"{folder}/train/yellow holds no image" in line
    (folder / "train" / "yellow").rmdir()
    (folder / "train" / "red" / "letter.jpg").write_text("Dear Sir")
    line = complaint(residua("train", folder, "-o", tmp_path / "run"), 4)
    assert "1 of 37 files" in line
    assert f"{folder}/train/red/letter.jpg is not an image" in line
    assert not (tmp_path / "run").exists()


def test_a_class_that_the_network_lacks_is_named(trained: Path, tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "photos")
    (folder / "red").rename(folder / "crimson")
    line = complaint(residua("evaluate", trained, "--data", folder), 4)
    for word in ("'crimson'", "'blue', 'green', 'red'"):
        assert word in line


def test_a_run_is_replaced_only_by_force(copied: Path, photos: Path) -> None:
    words = ("train", photos, "--recipe", copied / "recipe.json", "--epochs", 1, "-o", copied)
    before = states(copied)[0].read_bytes()
    line = complaint(residua(*words), 2)
    for word in (str(copied), "another -o", "--force"):
        assert word in line
    assert states(copied)[0].read_bytes() == before
    succeeded(residua(*words, "--force"))
    assert len(rows(copied)) == 1


def test_a_second_process_is_told_who_trains_and_spoils_nothing(photos: Path, tmp_path: Path) -> None:
    long = recipe("", arch=arch(), budget=Budget(epochs=100_000, batch_size=6, save_seconds=0.1))
    recipe_file, run = file_of(long, tmp_path / "recipe.json"), tmp_path / "run"
    first = start("train", photos, "--recipe", recipe_file, "-o", run)
    try:
        wait_for(run, "checkpoints/state-*.safetensors", first)
        first.send_signal(signal.SIGSTOP)  # it holds the run no less, and leaves the core to the others
        resumed = complaint(residua("resume", run), 3)
        forced = complaint(residua("train", photos, "--recipe", recipe_file, "-o", run, "--force"), 3)
        for line in (resumed, forced):
            for word in (str(run), f"process {first.pid} on"):
                assert word in line
        succeeded(residua("evaluate", run))
        assert first.returncode is None
    finally:
        first.kill()
        first.communicate()


def test_one_flipped_byte_is_refused_and_made_good(copied: Path, photos: Path) -> None:
    newest, older = states(copied)
    whole = newest.read_bytes()
    flip(newest)
    for target in (newest, copied):
        line = complaint(residua("evaluate", target, "--data", photos), 5)
        assert f"{newest} is damaged" in line
    assert f"residua resume {copied}" in line
    assert "falling back" in succeeded(residua("resume", copied))
    assert newest.read_bytes() == whole
    flip(newest)
    flip(older)
    assert f"{newest} is damaged" in complaint(residua("evaluate", copied), 5)
    assert states(copied) == [newest, older]


def test_one_folder_of_classes_is_split_the_same_way_every_time_whatever_it_is_called(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / os.fsdecode(b"caf\xe9 [bold]"), count=10)
    recipe_file = file_of(recipe("", arch=arch()), tmp_path / "recipe.json")
    out = succeeded(residua("train", folder, "--recipe", recipe_file, "--epochs", 4, "-o", tmp_path / "run"))
    for word in ("24 train + 6 val images", "20% held out"):
        assert word in out
    assert str(folder) == open_run(tmp_path / "run").recipe.data.source
    (score,) = python.evaluate(tmp_path / "run")
    assert score.n == 6
    assert score.error == pytest.approx(rows(tmp_path / "run")[-1]["test_error"])


def test_a_finished_run_has_nothing_to_resume(trained: Path) -> None:
    assert "nothing to do" in succeeded(residua("resume", trained))


def test_the_doctor_says_what_is_here_in_one_document() -> None:
    report = json.loads(succeeded(residua("doctor", "--json")))
    assert {"python", "torch", "device", "decoders", "training"} <= set(report)
    assert "float32" in report["training"]
