"""Boxes through the same loop, Run and jobs as images."""

import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

import box_data
import ranks
import small
from box_data import recipe, voc_folder
from eyes import Eyes
from residua import tasks
from residua.curate.check import check
from residua.data.inputs import Inputs
from residua.data.open import find_boxes as find_source
from residua.data.scenes import BoxDataset, build_box_dataset
from residua.errors import CheckpointError, ConfigError, DataError
from residua.jobs.evaluate import evaluate
from residua.jobs.prepare import prepare, resolve
from residua.jobs.tables import save
from residua.jobs.train import create_run, fit_run, load_run, resume
from residua.jobs.train_request import TrainRequest
from residua.measure.evaluate import evaluate as evaluate_split
from residua.nn.network import build
from residua.predict.classifier import load as load_classifier
from residua.runs.run import Run
from residua.spec import detector
from residua.spec.augment import Augment
from residua.spec.named_network import arch_of
from residua.spec.recipe import Averaging, Data, Recipe
from residua.spec.record import from_json, to_json
from residua.tasks.detect import batches
from residua.tasks.detect.evaluation import WholeImages
from residua.tasks.detect.learn_task import DetectLearn
from residua.tasks.detect.learning import initial_network
from residua.tasks.detect.predict_task import DetectPredict
from residua.tasks.detect.predictor import BoxPredictor, load
from residua.tasks.predict_task import PredictOptions
from residua.training.processes.world import World, process_group
from small import after, never, rows, weights


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return voc_folder(tmp_path_factory.mktemp("voc"))


@pytest.fixture(scope="module")
def dataset(root: Path) -> BoxDataset:
    return build_box_dataset(find_source(f"voc:{root}"), skip=False)


def train(path: Path, recipe_: Recipe, stop: Any = never, world: World | None = None) -> Run:
    prepared = prepare(TrainRequest(recipe_.data.source, None, recipe_))
    run = create_run(prepared, path)
    fit_run(run, prepared, stop=stop)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained until it finds nearly all: twelve epochs of five steps."""
    folder = tmp_path_factory.mktemp("run")
    recipe_ = recipe(f"voc:{voc_folder(folder / 'voc', train=40)}", augment=Augment("none"))
    recipe_ = replace(recipe_, budget=replace(recipe_.budget, epochs=12, batch_size=8))
    return train(folder / "run", replace(recipe_, optim=replace(recipe_.optim, lr=0.01)))


def test_a_detector_learns(run: Run) -> None:
    assert run.finished
    first, last = run.metrics[0], run.metrics[-1]
    assert last["train_loss"] < 0.5 * first["train_loss"]
    assert last["test_map50"] > 80  # 99 measured
    assert last["test_error"] == pytest.approx(100 - last["test_map50"])
    assert "train_error" not in last


def test_the_report_shows_boxes_and_works_offline(look: Eyes, run: Run) -> None:
    page = (run.path / "report.html").read_text()
    assert "mAP@.5" in page
    assert page.count("<image") == 6
    assert "http://" not in page.replace("http://www.w3.org", "")
    look(run.path / "report.html")


def test_evaluate_uses_the_test_images_of_the_run_under_both_protocols(run: Run, root: Path) -> None:
    pytest.importorskip("pycocotools")
    voc, coco = evaluate(run)
    assert (voc.protocol, coco.protocol, voc.n, voc.split) == ("voc", "coco", 6, "test")
    assert voc.value == pytest.approx(run.metrics[-1]["test_map50"], abs=5)
    assert voc.boxes == sum(len(box_data.objects(seed)) for seed in range(1000, 1006))
    assert dict(coco.parts)["AP50"] >= coco.value > 0
    (again,) = evaluate(run, data=f"voc:{root}", views=["voc2007"])
    assert again.protocol == "voc2007"
    with pytest.raises(ConfigError, match=r"'cocoa'.*mean coco"):
        evaluate(run, views=["cocoa"])
    with pytest.raises(ConfigError, match=r"--ensemble .*classes"):
        evaluate(run, ensemble=True)
    with pytest.raises(ConfigError, match=r"boxes.*--data voc:DIR"):
        evaluate(run, data="digits")


def test_predict_writes_boxes_and_draws_them(run: Run, root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    image = root / "JPEGImages/001000.png"
    task = tasks.predict_task_of([run.path])
    assert isinstance(task, DetectPredict)
    options = PredictOptions(least=0.3, batch_size=2)
    (predictions,) = task.predict(task.load(run.path), Inputs.of_files([image, broken]), options)
    assert len(predictions.errors) == 1
    assert predictions.boxes[0] is not None
    save(tmp_path / "boxes.jsonl", predictions)
    first = json.loads((tmp_path / "boxes.jsonl").read_text().splitlines()[0])
    assert {box["class"] for box in first["boxes"]} <= {"cell", "plate"}
    assert all(0.3 <= box["score"] <= 1 for box in first["boxes"])
    save(tmp_path / "boxes.csv", predictions)
    assert (tmp_path / "boxes.csv").read_text().startswith("file,class,score,left,top,right,bottom,error")
    assert predictions.draw(tmp_path / "drawn", name="x", force=False).startswith("1 picture drawn in")
    picture, plain = Image.open(tmp_path / "drawn/001000.png"), Image.open(image)
    assert picture.size == plain.size
    assert np.any(np.asarray(picture) != np.asarray(plain))
    with pytest.raises(FileExistsError, match="--force"):
        predictions.draw(tmp_path / "drawn", name="x", force=False)


def test_pictures_arrays_and_bytes_get_the_same_boxes(run: Run, root: Path) -> None:
    finder, path = load(run.path), root / "JPEGImages/001001.png"
    forms = [path, str(path), path.read_bytes(), Image.open(path), np.asarray(Image.open(path))]
    first, *others = finder.many(forms, least=0.1)
    assert all(np.array_equal(first.corners, other.corners) for other in others)


def test_a_stopped_run_resumes_to_the_same_bits(root: Path, tmp_path: Path) -> None:
    recipe_ = recipe(f"voc:{root}", average=Averaging(ema_decay=0.9))
    whole = train(tmp_path / "whole", recipe_)
    parts = train(tmp_path / "parts", recipe_, stop=after(5))
    assert not parts.finished
    resume(parts.path)
    assert parts.finished
    assert weights(whole) == weights(parts)
    assert rows(whole) == rows(parts)
    assert "ema_test_map50" in rows(whole)[-1]


def test_two_processes_train_like_one(root: Path, tmp_path: Path) -> None:
    recipe_ = recipe(f"voc:{root}", budget=replace(recipe("").budget, epochs=1))
    one = train(tmp_path / "one", recipe_)
    prepared = prepare(TrainRequest(recipe_.data.source, None, recipe_))
    create_run(prepared, tmp_path / "two")

    def rank(_: int) -> None:
        with process_group() as world:
            fit_run(Run(tmp_path / "two"), load_run(Run(tmp_path / "two"), world), world=world)

    assert ranks.end(ranks.begin(2, rank)) == [0, 0]
    ours, theirs = rows(one)[-1], rows(tmp_path / "two")[-1]
    assert set(ours) == set(theirs)
    assert theirs["train_loss"] == pytest.approx(ours["train_loss"], rel=0.3)  # norms see halves


def batch_of(dataset: BoxDataset, recipe_: Recipe, workers: int, first: int = 1) -> list[Any]:
    return list(batches.training_batches(dataset.train, recipe_, first=first, steps=5, workers=workers))


@pytest.mark.parametrize("workers", [1, 4])
def test_batches_do_not_depend_on_workers_or_memory(dataset: BoxDataset, root: Path, workers: int) -> None:
    recipe_ = recipe(f"voc:{root}")
    streamed = replace(recipe_, data=replace(recipe_.data, resident_bytes=0))
    resident, read = batch_of(dataset, recipe_, 0), batch_of(dataset, streamed, workers)
    for one, other in zip(resident, read, strict=True):
        assert torch.equal(one.images, other.images)
        for ours, theirs in zip(one.boxes, other.boxes, strict=True):
            assert np.array_equal(ours.corners, theirs.corners)
            assert np.array_equal(ours.labels, theirs.labels)
        assert one.indices.tolist() == other.indices.tolist()
    parts = resident[0].chunk(2)
    assert torch.equal(torch.cat([part.images for part in parts]), resident[0].images)
    assert [len(part.boxes) for part in parts] == [2, 2]


def test_ignored_objects_are_left_out_in_training_only(tmp_path: Path) -> None:
    root = voc_folder(tmp_path)
    (root / "Annotations/000000.xml").write_text(box_data.xml(box_data.objects(0), difficult=[0]))
    dataset = build_box_dataset(find_source(f"voc:{root}"), skip=False)
    recipe_ = recipe(f"voc:{root}", augment=Augment("none"))
    (batch,) = [b for b in batch_of(dataset, recipe_, 0, 0) if 0 in b.indices and b.epoch == 0]
    place = batch.indices.tolist().index(0)
    assert dataset.train.boxes[0].ignored.any()
    assert len(batch.boxes[place]) == len(box_data.objects(0)) - 1


def test_the_recipe_is_resolved_and_contradictions_are_refused(root: Path) -> None:
    source = f"voc:{root}"
    recipe_, _ = resolve(TrainRequest(source, "ssd512_resnet18"))
    assert (recipe_.name, recipe_.detector.size, recipe_.arch.preprocess.size) == ("quick.boxes", 512, 512)  # type: ignore[union-attr]
    assert (recipe_.arch.classes, recipe_.plan.compile) == (2, "off")
    assert from_json(Recipe, to_json(recipe_)) == recipe_
    for path, text in (
        ("augment.kind", "resized_crop"),
        ("augment.mixup", "0.2"),
        ("optim.label_smoothing", "0.1"),
        ("average.bn_recalibration_images", "100"),
        ("plan.compile", "blocks"),
        ("plan.memory_limit", "1000000"),
    ):
        with pytest.raises(ConfigError, match=r"detection|detector"):
            resolve(TrainRequest(source, changes=((path, text),)))
    with pytest.raises(ConfigError, match=r"no detector 'resnet18': .*ssd300_resnet18"):
        resolve(TrainRequest(source, "resnet18"))
    with pytest.raises(ConfigError, match=r"resnet18:frames=8 reads clips.*images"):
        resolve(TrainRequest(source, "ssd300_resnet18", model_changes={"frames": 8}))
    with pytest.raises(ConfigError, match=r"no detector 'resnet18:order=e': .*ssd300_resnet18:order=e"):
        resolve(TrainRequest(source, "resnet18:order=e"))
    with pytest.raises(ConfigError, match=r"no detector.*DETECTOR_BACKBONE"):
        resolve(TrainRequest(source, arch_of("resnet18")))
    with pytest.raises(ConfigError, match=r"ssd300_resnet18 .*detector.*no boxes"):
        resolve(TrainRequest("digits", "ssd300_resnet18"))
    with pytest.raises(ConfigError, match=r"no boxes.*voc:DIR or coco:DIR"):
        resolve(TrainRequest("digits", recipe=replace(recipe("digits"), data=Data("digits"))))


def test_a_backbone_takes_changes(root: Path) -> None:
    built, _ = resolve(TrainRequest(f"voc:{root}", "ssd300_resnet18:order=e"))
    assert built.detector == detector.DETECTORS["ssd300"]
    assert (built.arch.name, built.arch.stages) == ("resnet18:order=e", arch_of("resnet18:order=e").stages)


def test_frozen_norms_need_trained_weights(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"detector\.norm=batch"):
        prepare(TrainRequest(f"voc:{root}", "fasterrcnn_c4_resnet18"))


def test_weights_of_a_classifier_go_into_the_backbone(root: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = build(box_data.arch(7))
    file = tmp_path / "classifier.pt"
    torch.save(network.state_dict(), file)
    messages: list[str] = []
    recipe_ = initial_network(
        recipe(f"voc:{root}", weights=str(file)), ("cell", "plate"), listen=messages.append
    )
    assert "into the backbone" in messages[0]
    ours = recipe_.parts.backbone.features.network  # type: ignore[union-attr]
    assert torch.equal(ours.stem.conv1.weight, network.stem.conv1.weight)  # type: ignore[union-attr]


def test_trained_norms_are_kept_as_they_were(root: Path, tmp_path: Path) -> None:
    theirs = resnet18()
    torch.nn.init.uniform_(theirs.bn1.running_var, 1, 2)
    file = tmp_path / "resnet18.pt"
    torch.save(theirs.state_dict(), file)
    changes = (("detector.size", "64"), ("detector.longest", "64"), ("budget.batch_size", "2"))
    recipe_, _ = resolve(
        TrainRequest(f"voc:{root}", "fasterrcnn_c4_resnet18", "he2015.coco", str(file), None, changes)
    )
    network = initial_network(recipe_, ("cell", "plate"))
    norm = network.parts.backbone.features.network.stem.norm1  # type: ignore[union-attr]
    assert torch.equal(norm.running_var, theirs.bn1.running_var)  # type: ignore[union-attr]
    batch = next(batches.training_batches(
        build_box_dataset(find_source(f"voc:{root}"), skip=False).train, recipe_, first=0, steps=1, workers=0
    ))  # fmt: skip
    network.parts.roi_heads.fg_bg_sampler.batch_size_per_image = 4  # type: ignore[union-attr]
    loss, _ = DetectLearn().loss_fn(None, recipe_, small.PLAN)(network.train(), batch)  # type: ignore[arg-type]
    assert torch.isfinite(loss)
    assert torch.equal(norm.running_var, theirs.bn1.running_var)  # type: ignore[union-attr]


def test_weights_of_a_detector_are_taken_over_for_other_classes(run: Run) -> None:
    messages: list[str] = []
    recipe_ = initial_network(
        replace(run.recipe, weights=str(run.path)), ("a", "b", "c"), listen=messages.append
    )
    assert "re-initialised for other classes" in messages[0]
    old = load(run.path).network
    assert torch.equal(recipe_.state_dict()["parts.backbone.behind.layers.0.0.weight"],
                       old.state_dict()["parts.backbone.behind.layers.0.0.weight"])  # fmt: skip
    other = replace(run.recipe, detector=replace(box_data.DETECTOR, extras=(16,)), weights=str(run.path))
    with pytest.raises(CheckpointError, match="another detector"):
        initial_network(other, ("cell", "plate"))


def test_loading_a_detector_as_a_classifier_is_refused(run: Run) -> None:
    with pytest.raises(CheckpointError, match="holds a detector"):
        load_classifier(run.path)


def test_an_untrained_detector_can_be_evaluated(dataset: BoxDataset, root: Path) -> None:
    recipe_ = recipe(f"voc:{root}")
    network = initial_network(recipe_, dataset.train.classes).eval()
    evaluation = evaluate_split(BoxPredictor(network, recipe_.plan), dataset.test, WholeImages())
    assert len(evaluation.predictions) == 6
    assert 0 <= evaluation.row()["test_map50"] <= 100


def test_bad_images_and_boxes_are_left_out_by_policy(tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "voc")
    (root / "JPEGImages/000002.png").write_bytes(b"no image")
    (root / "Annotations/000003.xml").write_text(
        box_data.xml(box_data.objects(3), extra=box_data.thing("cell", (5, 5, 5, 5)))
    )
    with pytest.raises(DataError, match="boxes cannot be used"):
        resolve(TrainRequest(f"voc:{root}"))
    recipe_ = recipe(f"voc:{root}", data=Data(f"voc:{root}", num_workers=0, bad="quarantine"))
    run = train(tmp_path / "run", replace(recipe_, budget=replace(recipe_.budget, epochs=1, steps=2)))
    text = (run.path / "quarantine.csv").read_text()
    assert "JPEGImages/000002.png" in text
    assert "JPEGImages/000003.png: cell, object 4" in text
    assert json.loads((run.path / "data.json").read_text())["train"] == 11


def test_data_check_lists_degenerate_boxes_and_other_sizes(tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "voc")
    bad = box_data.thing("cell", (5, 5, 5, 5))
    (root / "Annotations/000003.xml").write_text(box_data.xml(box_data.objects(3), extra=bad))
    Image.new("RGB", (30, 60)).save(root / "JPEGImages/000004.png")
    findings = {finding.key: finding for finding in check(f"voc:{root}", workers=0).findings}
    assert findings["boxes"].level == "problem"
    assert "object" in findings["boxes"].names[0]
    assert "no area (5, 5, 5, 5)" in findings["boxes"].names[0]
    (size,) = findings["size"].names
    assert re.search(r"JPEGImages/000004\.png.* 30 x 60, .* 80 x 60", size)
    assert len(findings["counts"].names) == 2


def test_data_check_counts_boxes_and_skips_findings_about_labels(tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "voc", train=1)
    Image.new("RGB", (200, 60)).save(root / "JPEGImages/000000.png")
    checked = check(f"voc:{root}", workers=0)
    of = [box_data.objects(seed) for seed in range(1000, 1006)]
    plates = sum(name == "plate" for marks in of for name, _ in marks)
    assert checked.counted_noun == "boxes"
    assert checked.marks is not None
    half = Image.new("RGB", (box_data.WIDE // 2, box_data.HIGH // 2), "white")
    picture = np.asarray(checked.marks.draw(1, half))  # the first of the second split
    for _, (left, top, _, _) in of[0]:
        assert (picture[top // 2, left // 2] < 250).any()
    assert (picture == 255).all(2).any()
    assert checked.class_counts()["test"]["plate"] == plates
    assert not {"single", "shape", "untested", "metadata"} & {finding.key for finding in checked.findings}


def test_real_blood_cells_have_two_boxes_without_area(tmp_path: Path) -> None:
    archive = Path(__file__).parents[3].parent / "shared/data/bccd/bccd.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not here")
    with zipfile.ZipFile(archive) as archive_file:
        archive_file.extractall(tmp_path)
    (lists,) = tmp_path.rglob("ImageSets")
    listing = find_source(f"voc:{lists.parent}")
    assert [fault.key for fault in listing.faults] == [
        "JPEGImages/BloodImage_00338.jpg: RBC, object 13",
        "JPEGImages/BloodImage_00343.jpg: RBC, object 4",
    ]
    assert listing.test is not None
    assert (len(listing.train), len(listing.test), listing.train.classes) == (
        292,
        72,
        ("Platelets", "RBC", "WBC"),
    )
    assert listing.train.counts().tolist() == [292, 3348, 301]


def test_the_source_decides_the_task(root: Path) -> None:
    assert type(tasks.learn_task_of(f"voc:{root}")).__name__ == "DetectLearn"
    assert type(tasks.learn_task_of("digits")).__name__ == "ClassifyLearn"
    assert os.path.isabs(str(root))
