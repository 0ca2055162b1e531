"""The views "Words", "Look inside" and "Compare" over HTTP: what they compute, and what they refuse."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from lab_views import ViewFolder
from PIL import Image

import residua
from residua.curate.actions import COLUMNS, SUMMARY
from residua.curate.clean import CSV, all_images
from residua.data.listing import split_listing
from residua.data.open import find
from residua.data.split import VAL_FRACTION
from residua.data.table_cells import csv_text
from residua.jobs.analyse import analyse
from residua.jobs.compare import compare
from residua.lab.clean_tables import CleanTables
from residua.lab.folder_contents import FolderContents
from residua.lab.lessons import EXAMPLES, LESSONS, SHORTCUTS
from residua.lab.pictures import png
from residua.lab.run_folder import RunFolder
from residua.lab.word_check import TypedNetwork, check
from residua.runs.run import Run
from residua.spec.describe import cost
from residua.spec.named_network import arch_of
from residua.tasks.classify.pages import thumbnail


def get(client: httpx.Client, path: str, **values: Any) -> Any:
    response = client.get(f"/api/{path}", params=values)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (TypedNetwork("(CNA CN)A", 20), "cifar_resnet20"),
        (TypedNetwork(" (NAC NAC) ", 110), "cifar_resnet110:order=e"),
        (TypedNetwork("resnet34", shortcut="A"), "resnet34:shortcut=A"),
        (TypedNetwork("resnet50:order=e"), "resnet50:order=e"),
    ],
)
def test_typed_network_is_counted_and_drawn(typed: TypedNetwork, name: str) -> None:
    document, arch = check(typed), arch_of(name)
    assert document["name"] == name
    assert document["counts"]["params"] == cost(arch).params
    assert document["counts"]["macs"] == cost(arch).macs
    assert document["column"].startswith("<svg")
    assert len(document["rows"]) == len(arch.stages) + 2


def test_numbers_of_the_papers_stand_beside_ours() -> None:
    assert [row["paper"] for row in check(TypedNetwork("e", 110))["published"]] == ["6.37"]
    rows = check(TypedNetwork("resnet34:shortcut=A"))["published"]
    assert {"measure": "multiply-adds", "paper": "3.60 G", "counted": "3.64 G"}.items() <= rows[0].items()
    assert check(TypedNetwork("(CN)A"))["published"] == []


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("(NAC NXC)", 6),
        ("  (CNA CN", 2),
        ("resnet35", 0),
        ("resnet34:shorcut=A", 9),
        ("resnet34:order=e,drop_rate=2", 17),
        ("", 0),
        ("C" * 201, 200),
        ("net.json", None),
        ("../x.json:order=e", None),
    ],
)
def test_mistake_is_one_line_with_its_place(text: str, position: int | None) -> None:
    document = check(TypedNetwork(text))
    assert document["position"] == position
    assert "\n" not in document["error"]


def test_every_lesson_and_example_fills_in_a_network_that_exists() -> None:
    examples = [*EXAMPLES, *(example for lesson in LESSONS for example in lesson.examples)]
    assert len(examples) > 25
    for example in examples:
        assert "error" not in check(TypedNetwork(example.text, example.depth or 20)), example
    for shortcut in SHORTCUTS:
        assert "error" not in check(TypedNetwork("(CNA CN)A", 20, shortcut)), shortcut
    for letter in "abcde":
        assert ["6.61", "8.17", "7.84", "6.71", "6.37"]["abcde".index(letter)] in [
            row["paper"] for row in check(TypedNetwork(f"cifar_resnet110:order={letter}"))["published"]
        ]


def test_words_are_checked_over_http(views: ViewFolder) -> None:
    document = get(views.client, "words/check", text="(CNA CN)A", depth=21)
    assert (document["step"], document["position"]) == (6, None)
    assert "20" in document["error"]
    assert views.client.get("/api/words/check", params={"text": "a", "depth": "x"}).status_code == 400


def test_result_of_a_run_has_the_interval_of_its_test_error(views: ViewFolder) -> None:
    document, row = get(views.client, "words/result", run="good"), Run(views.folder / "good").metrics[-1]
    assert document["test_error"] == row["test_error"]
    assert document["interval"][0] <= document["test_error"] <= document["interval"][1]
    assert document["images"] == 18
    assert views.client.get("/api/words/result", params={"run": "../good"}).status_code == 404


def test_network_without_blocks_has_the_accuracy_of_the_study(views: ViewFolder) -> None:
    document = get(views.client, "inside/network", name="good")
    assert [block["has_shortcut"] for block in document["blocks"]] == [True, True]
    assert document["classes"] == ["blue", "green", "red"]
    (score,) = residua.evaluate(views.folder / "good", device="cpu")
    assert document["whole"]["accuracy"] == pytest.approx(score.top1)
    (study,) = analyse([views.folder / "good"], what=["lesion"])
    for number, error in enumerate(study.numbers["good"]["removed"]):
        lesion = get(views.client, "inside/lesion", name="good", removed=str(number))
        assert lesion["accuracy"] == pytest.approx(100 - error)
        assert len(lesion["predicted"]) == lesion["images"] == 18


def test_files_of_weights_are_studied_with_images_of_the_folder(views: ViewFolder) -> None:
    lists = get(views.client, "inside")
    assert lists["files"] == ["nets/doubtful.th", "nets/named.pt"]
    assert lists["images"] == ["digits", "images of good"]
    refused = views.client.get("/api/inside/network", params={"name": "nets/named.pt"})
    assert refused.status_code == 404
    document = get(views.client, "inside/network", name="nets/named.pt", images="images of good")
    assert len(document["blocks"]) == 9
    assert len(document["labels"]) == 18
    removed = ",".join(map(str, range(9)))
    lesion = get(
        views.client, "inside/lesion", name="nets/named.pt", images="images of good", removed=removed
    )
    assert lesion["removed"] == list(range(9))


def test_pictures_are_those_of_the_images(views: ViewFolder) -> None:
    response = views.client.get("/api/inside/picture", params={"name": "good", "index": 0})
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (12, 12)
    assert views.client.get("/api/inside/picture", params={"name": "good", "index": 18}).status_code == 404


def test_mistakes_agree_with_the_confusion_matrix(views: ViewFolder) -> None:
    document = get(views.client, "inside/mistakes", name="poor")
    counts = np.array(document["confusion"])
    assert len(document["worst"]) == counts.sum() - np.trace(counts) > 0
    row = document["worst"][0]
    label, predicted = (document["classes"].index(row[key]) for key in ("label", "predicted"))
    assert counts[label, predicted] > 0
    assert row["confidence"] == max(each["confidence"] for each in document["worst"])


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("inside/network", {"name": "../good"}),
        ("inside/network", {"name": "good/checkpoints"}),
        ("inside/network", {"name": "good", "images": "/etc"}),
        ("inside/network", {"name": "link.th", "images": "digits"}),
        ("inside/network", {"name": "nets/doubtful.th", "images": "images of good"}),
        ("inside/lesion", {"name": "good", "removed": "7"}),
        ("inside/lesion", {"name": "good", "removed": "x"}),
        ("compare", {"run": ["good"]}),
        ("compare", {"run": ["good", "good"]}),
        ("compare", {"run": ["good", "../poor"]}),
        ("compare/picture", {"run": ["good", "poor"], "index": 18}),
    ],
)
def test_no_name_leads_out_of_the_folder(views: ViewFolder, path: str, values: dict[str, Any]) -> None:
    response = views.client.get(f"/api/{path}", params=values)
    assert response.status_code in (400, 404)
    assert str(views.folder) not in response.text


def test_settings_and_words_that_differ_are_listed(views: ViewFolder) -> None:
    document = get(views.client, "compare", run=["good", "poor"])
    assert {row["field"] for row in document["settings"]} >= {"optim.lr", "budget.epochs"}
    assert all(row["is_equal"] for row in document["words"][0])
    document = get(views.client, "compare", run=["good", "reordered"])
    marked = [piece for row in document["words"][0] for piece, differs in row["second"] if differs]
    assert any("N" in piece for piece in marked)
    assert document["drawing"].startswith("<svg")


def test_comparison_is_that_of_the_command(views: ViewFolder) -> None:
    document = get(views.client, "compare/test", run=["good", "poor"])
    (pair,) = compare([views.folder / "good", views.folder / "poor"])
    (row,) = document["pairs"]
    assert (row["won"], row["lost"], row["p"]) == (pair.comparison.wins, pair.comparison.losses, pair.p)
    assert row["num_changed"] == len(row["changed"]) > 0
    assert {each["change"] for each in row["changed"]} <= {"won", "lost", "wrong in both"}
    assert np.array(document["confusions"]).sum() == 36
    index = row["changed"][0]["index"]
    picture = views.client.get("/api/compare/picture", params={"run": ["good", "poor"], "index": index})
    assert picture.status_code == 200


def test_analysis_is_a_job_with_a_page(views: ViewFolder) -> None:
    options = {"name": "good", "beside": "poor", "study": "activations", "images": ""}
    job = views.post("jobs", kind="analyse", options=options)
    facts = views.wait_for_job(job["id"])
    assert (facts["state"], facts["page"]) == ("done", True)
    page = views.client.get(f"/api/jobs/{job['id']}/page")
    assert "main path" in page.text
    assert "sandbox" in page.headers["content-security-policy"]


@pytest.mark.battery
def test_a_typed_word_is_trained_by_a_job(views: ViewFolder) -> None:
    options = {"text": "NA(C NAC)", "depth": 8, "shortcut": "B", "epochs": 1}
    job = views.post("jobs", kind="train_digits", options=options)
    assert views.wait_for_job(job["id"])["state"] == "done"
    run = Run(views.folder / job["run"])
    assert run.recipe.arch.stages[1][0].word == "NA(C NAC)"
    assert run.recipe.arch.stages[1][0].shortcut == "CN"
    document = get(views.client, "words/result", run=job["run"])
    assert document["is_finished"]
    assert 0 <= document["test_error"] <= 100


def test_a_table_shows_images_without_files(tmp_path: Path) -> None:
    folder = tmp_path / "clean-digits"
    folder.mkdir()
    train, test, _ = split_listing(find("digits"), val_fraction=VAL_FRACTION)
    images = all_images(train, test)
    (folder / SUMMARY).write_text('{"source": "digits"}')
    (folder / CSV).write_text(csv_text([COLUMNS, (images.title(1575), "9", "1", "0.1", "odd", "keep")]))
    tables = CleanTables(FolderContents(RunFolder(tmp_path)))
    (row,) = tables.read("clean-digits")["rows"]
    assert tables.picture("clean-digits", row["path"]) == png(thumbnail(images, 1575))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("analyse", {"name": "../x", "study": "field"}),
        ("analyse", {"name": "good", "study": "--help"}),
        ("analyse", {"name": "good", "study": "field", "images": "/etc"}),
        ("check_data", {"images": "/etc"}),
        ("train_digits", {"text": "(NAC", "depth": 20}),
    ],
)
def test_jobs_of_the_views_take_no_path(views: ViewFolder, kind: str, options: dict[str, Any]) -> None:
    assert views.post("jobs", 400, kind=kind, options=options)["error"]
