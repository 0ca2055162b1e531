"""`residua data`: its text, its JSON and its exit codes."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from command import complaint, residua, succeeded
from eyes import Eyes
from small import file_of, recipe, split_folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two splits; validation images are flipped, or they would duplicate training images."""
    root = split_folder(tmp_path / "photos", train=6, val=3, side=40)
    for file in (root / "val").rglob("*.*"):
        with Image.open(file) as image:
            image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(file)
    return root


def test_a_check_prints_its_findings_in_eighty_columns(look: Eyes, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "train/red/01.png", photos / "val/red/leak.png")
    (photos / "train/blue/a long name that does not fit into the column of examples.jpg").write_text("text")
    out = succeeded(residua("data", "check", photos, "-o", tmp_path / "sheet.html", cwd=tmp_path))
    assert f"{photos}: 19 train + 10 val images" in out
    assert "✗  duplicates across splits" in out
    assert "✗  unreadable files" in out
    assert f"next: residua train {photos}" in out
    lines = [line for line in out.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 80
    assert "Data check of" in (tmp_path / "sheet.html").read_text()
    line = complaint(residua("data", "check", photos, "-o", tmp_path / "sheet.html"), 2)
    assert "give --force" in line
    look(tmp_path / "sheet.html")


def test_strict_exits_with_four_and_json_is_one_document(photos: Path) -> None:
    result = json.loads(succeeded(residua("data", "check", photos, "--json", "--strict")))
    assert result["problems"] == 0
    assert result["classes"]["train"] == {"blue": 6, "green": 6, "red": 6}
    (photos / "train/blue/x.jpg").write_text("text")
    assert residua("data", "check", photos).returncode == 0
    done = residua("data", "check", photos, "--json", "--strict")
    assert done.returncode == 4
    assert json.loads(done.stdout)["findings"][0]["files"][0]["file"] == "train/blue/x.jpg"


def test_file_names_are_escaped_and_commands_can_be_pasted(photos: Path, tmp_path: Path) -> None:
    root = photos.rename(tmp_path / "my photos")
    (root / "train/blue/\x1b[31m.jpg").write_text("text")
    (root / "train/red/\u202egpj.jpg").write_text("text")
    out = succeeded(residua("data", "check", "my photos", cwd=tmp_path))
    assert "\x1b" not in out
    assert r"train/blue/\x1b[31m.jpg" in out
    assert "next: residua data check 'my photos' --report sheet.html" in out
    shutil.rmtree(root / "train/blue")
    shutil.rmtree(root / "train/red")
    done = residua("data", "pack", "my photos", "my shards", cwd=tmp_path)
    assert "\x1b" not in done.stdout + done.stderr


def test_packed_images_train_and_evaluate_like_files(photos: Path, tmp_path: Path) -> None:
    out = succeeded(residua("data", "pack", photos, tmp_path / "packed", "--decoded"))
    assert "27 images in 2 shards" in out
    assert f"residua train {tmp_path / 'packed'}" in out
    words = ("--epochs", "1", "--set", "budget.batch_size=6", "--set", "plan.precision=float32")
    digests = []
    for source in (photos, tmp_path / "packed"):
        run = tmp_path / f"run-{source.name}"
        out = succeeded(residua("train", source, "-m", "smallconvnet", *words, "-o", run))
        assert "18 train + 9 val images" in out
        digests.append(json.loads((run / "metrics.jsonl").read_text()))
    assert digests[1]["step"] == 3
    result = json.loads(succeeded(residua("evaluate", tmp_path / "run-packed", "--json")))
    assert result["scores"][0]["n"] == 9


def test_the_whole_loop_from_a_folder_to_a_comparison(look: Eyes, photos: Path, tmp_path: Path) -> None:
    file = file_of(recipe(), tmp_path / "recipe.json")
    words = ("--recipe", file, "--folds", "2", "-o", tmp_path / "found")
    out = succeeded(residua("data", "clean", photos, *words, cwd=tmp_path))
    assert out.startswith("plan    2 networks")
    assert (
        f"next: residua data apply {tmp_path / 'found/clean.csv'} -o {tmp_path / 'photos-clean.csv'}" in out
    )
    line = complaint(residua("data", "clean", photos, *words, cwd=tmp_path), 2)
    assert "your edits" in line
    done = residua("data", "clean", photos, *words, "--force", "--json", cwd=tmp_path)
    result = json.loads(succeeded(done))
    assert result["predicted"] == result["images"] == 27
    assert set(result["actions"]) == {"keep", "relabel", "drop"}
    manifest = tmp_path / "photos-clean.csv"
    out = succeeded(residua("data", "apply", tmp_path / "found/clean.csv", "-o", manifest))
    assert f"residua compare runs/before runs/after --data {manifest}" in out
    for source, name in ((photos, "before"), (manifest, "after")):
        succeeded(residua("train", source, "--recipe", file, "-o", tmp_path / name))
    pair = succeeded(
        residua("compare", tmp_path / "before", tmp_path / "after", "--data", manifest, "--json")
    )
    assert json.loads(pair)["first"]["score"]["n"] == 9
    out = succeeded(
        residua("data", "augment", manifest, "--recipe", file, "-n", 3, "-o", tmp_path / "seen.html")
    )
    assert "the same pixels" in out
    look(tmp_path / "seen.html", tmp_path / "found/clean.html")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["data", "check", "nowhere"], 4, "nowhere does not exist"),
        (["data", "check", ""], 2, "word 3 .* empty"),
        (["data", "check", "."], 4, r"\. holds no image.*JPEG"),
        (["data", "check", "x" * 300], 4, "File name too long"),
        (["data", "check", ".", "-o", "sheet.pdf"], 2, "give .html"),
        (["data", "check", ".", "-o", "none/sheet.html"], 2, "make it first"),
        (["data", "pack", "nowhere", "out"], 4, "nowhere does not exist"),
        (["data", "chekc"], 2, "chekc"),
        (["data", "clean", "nowhere"], 4, "nowhere does not exist"),
        (["data", "clean", "digits", "--folds", "1"], 2, "give 2 or more"),
        (["data", "clean", "digits", "--run", "none"], 2, "none is no run"),
        (["data", "apply", "none.csv", "-o", "out.csv"], 2, r"clean\.csv"),
        (["data", "add", "nowhere", "nothing", "-o", "out.csv"], 4, "nowhere does not exist"),
        (["data", "augment", "digits", "-o", "page.pdf"], 2, "give .html"),
        (["data", "augment", "digits", "--recipe", "none", "-o", "page.html"], 2, "no recipe 'none'"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], code: int, message: str, tmp_path: Path) -> None:
    assert re.search(message, complaint(residua(*words, cwd=tmp_path), code))


def test_data_alone_lists_its_commands() -> None:
    out = succeeded(residua("data"))
    assert "check" in out
    assert "pack" in out
