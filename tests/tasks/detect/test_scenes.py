"""Sets of boxes in the layouts of VOC and COCO, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from box_data import CATEGORIES, HIGH, WIDE, coco_folder, objects, thing, voc_folder, xml
from residua.data.boxes import Boxes, box_fault, box_iou
from residua.data.open import find_boxes as find
from residua.data.scenes import build_box_dataset, match_box_classes
from residua.errors import DataError

NAN = float("nan")


@pytest.mark.parametrize(
    ("corners", "says"),
    [
        ((1, 1, 5, 5), ""),
        ((0, 0, 80, 60), ""),
        ((5, 5, 5, 9), "no area"),
        ((5, 5, 9, 4), "no area"),
        ((90, 5, 99, 9), "outside"),
        ((-20, 5, -2, 9), "outside"),
        ((-9, 5, 20, 9), "leaves"),
        ((3, NAN, 20, 9), "not finite"),
    ],
)
def test_a_box_says_what_is_wrong_with_it(corners: Any, says: str) -> None:
    reason = box_fault(corners, WIDE, HIGH)
    assert says in reason
    assert bool(reason) == bool(says)


def test_overlaps_are_those_of_pixels_counted_one_by_one() -> None:
    chance = np.random.default_rng(0)
    low = chance.integers(0, 20, (12, 2))
    boxes = np.concatenate([low, low + chance.integers(1, 12, (12, 2))], 1)
    masks = np.zeros((12, 40, 40), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    counted = [[(a & b).sum() / (a | b).sum() for b in masks[6:]] for a in masks[:6]]
    assert np.allclose(box_iou(boxes[:6], boxes[6:]), counted)


def test_voc_is_read_by_its_lists_and_pixels_begin_at_one(tmp_path: Path) -> None:
    marked = find(f"voc:{voc_folder(tmp_path)}")
    assert marked.test is not None
    assert (len(marked.train), len(marked.test), marked.faults) == (12, 6, ())
    assert marked.train.classes == ("cell", "plate")
    for i, seed in enumerate(range(12)):
        names = [marked.train.classes[label] for label in marked.train.boxes[i].labels]
        assert list(zip(names, map(tuple, marked.train.boxes[i].corners.tolist()), strict=True)) == objects(
            seed
        )
    assert marked.train.image(3, "rgb").size == (WIDE, HIGH)


def test_difficult_objects_are_set_aside(tmp_path: Path) -> None:
    root = voc_folder(tmp_path)
    (root / "Annotations/000000.xml").write_text(xml(objects(0), difficult=[1]))
    train = find(f"voc:{root}").train
    assert train.boxes[0].ignored.tolist() == [False, True]
    assert train.counts().sum() == sum(len(objects(seed)) for seed in range(12)) - 1


def test_boxes_that_cannot_be_used_are_an_error_or_left_out(tmp_path: Path) -> None:
    root = voc_folder(tmp_path)
    bad = thing("cell", (5, 5, 5, 5)) + thing("cell", (9, "x", 12, 12)).replace("<ymin>x", "<ymin>nan")
    (root / "Annotations/000000.xml").write_text(xml(objects(0), extra=bad))
    (root / "Annotations/001000.xml").write_text(xml(objects(1000), extra=thing("ghost", (5, 5, 9, 9))))
    marked = find(f"voc:{root}")
    assert [fault.key for fault in marked.faults] == [
        "JPEGImages/000000.png: cell, object 3",
        "JPEGImages/000000.png: cell, object 4",
        "JPEGImages/001000.png: ghost, object 3",
    ]
    with pytest.raises(DataError, match=r"3 of its boxes .*object 3: .*no area.*data\.bad=skip"):
        build_box_dataset(marked, skip=False)
    sets = build_box_dataset(marked, skip=True, without=["JPEGImages/000001.png", marked.faults[0].key])
    assert len(sets.train) == 11
    assert len(sets.train.boxes[0]) == 2
    (root / "Annotations/000000.xml").write_text(xml(objects(0), extra=thing("", (5, 5, 9, 9))))
    nameless = find(f"voc:{root}")
    assert nameless.train.classes == ("cell", "plate")
    assert nameless.faults[0].box == "unknown, object 3"
    assert "no name" in nameless.faults[0].reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: (root / "ImageSets/Main/test.txt").unlink(), "lacks trainval.txt and test.txt"),
        (lambda root: (root / "ImageSets/Main/test.txt").write_text("../../etc\n"), "without folders"),
        (lambda root: (root / "ImageSets/Main/test.txt").write_text("001000\n001000\n"), "twice"),
        (lambda root: (root / "JPEGImages/000001.png").unlink(), "holds no image '000001'"),
        (lambda root: (root / "Annotations/000001.xml").write_text("<annotation>"), "no annotation"),
        (lambda root: (root / "Annotations/000001.xml").unlink(), "no annotation"),
        (
            lambda root: (root / "Annotations/000001.xml").write_text(
                '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
            ),
            "document type",
        ),
        (lambda root: (root / "Annotations/000001.xml").write_text("<html/>"), "<html>"),
        (lambda root: (root / "ImageSets/Main/test.txt").write_text("\n"), "names no image"),
    ],
)
def test_a_broken_voc_says_what_to_do(tmp_path: Path, change: Any, says: str) -> None:
    change(voc_folder(tmp_path))
    with pytest.raises(DataError, match=says):
        find(f"voc:{tmp_path}")


def test_an_annotation_without_a_size_takes_the_image_s(tmp_path: Path) -> None:
    root = voc_folder(tmp_path)
    text = xml(objects(0)).replace(f"<width>{WIDE}</width>", "")
    (root / "Annotations/000000.xml").write_text(text)
    assert find(f"voc:{root}").train.sizes[0].tolist() == [WIDE, HIGH]


def test_coco_is_read_by_number_with_gaps_and_crowds(tmp_path: Path) -> None:
    root = coco_folder(tmp_path / "coco")
    path = root / "annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(document))
    marked = find(f"coco:{root}")
    assert marked.test is not None
    assert marked.train.classes == tuple(CATEGORIES[number] for number in sorted(CATEGORIES))
    assert [marked.train.title(i) for i in range(2)] == [f"train2017/{0:012}.png", f"train2017/{1:012}.png"]
    first, truth = marked.train.boxes[0], objects(0)
    assert [marked.train.classes[label] for label in first.labels] == [name for name, _ in truth]
    assert first.corners.tolist() == [list(box) for _, box in truth]
    assert first.ignored.tolist() == [True] + [False] * (len(truth) - 1)
    sides = first.corners[:, 2:] - first.corners[:, :2]
    assert np.allclose(first.areas, 0.7 * sides.prod(1))


def test_broken_coco_says_what_to_do(tmp_path: Path) -> None:
    root = coco_folder(tmp_path / "coco")
    path = root / "annotations/instances_val2017.json"
    document = json.loads(path.read_text())
    for change, says in (
        ({"images": [{**document["images"][0], "file_name": "../secret.png"}]}, "does not list"),
        (
            {"annotations": [], "images": [{**document["images"][0], "file_name": "../x.png"}]},
            "below the folder",
        ),
        ({"categories": "none"}, "no annotation of COCO"),
        ({"images": [{**document["images"][0], "width": None}]}, "no annotation of COCO"),
        ({"images": [{**document["images"][0], "width": "wide"}]}, "no annotation of COCO: .*'wide'"),
        ({"images": [document["images"][0]] * 2, "annotations": []}, "two images one id"),
    ):
        path.write_text(json.dumps({**document, **change}))
        with pytest.raises(DataError, match=says):
            find(f"coco:{root}")
    strange = [
        {**document["annotations"][0], "category_id": 5},
        {**document["annotations"][1], "bbox": [1, 2]},
        {**document["annotations"][2], "category_id": [1]},
        {**document["annotations"][3], "bbox": [10**400, 1, 2, 3]},
    ]
    path.write_text(json.dumps({**document, "annotations": strange}))
    reasons = [fault.reason for fault in find(f"coco:{root}").faults]
    for reason, word in zip(reasons, ("category 5", "bbox [1, 2]", "category [1]", "finite"), strict=True):
        assert word in reason
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="annotation of COCO"):
        find(f"coco:{root}")


def test_a_source_without_test_boxes_is_refused(tmp_path: Path) -> None:
    root = voc_folder(tmp_path, train=2, test=1)
    (root / "Annotations/001000.xml").write_text(xml([]))
    with pytest.raises(DataError, match=r"\d training boxes and 0 test"):
        build_box_dataset(find(f"voc:{root}"), skip=False)


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    scenes = find(f"voc:{voc_folder(tmp_path)}").train
    other = match_box_classes(scenes, ("plate", "other", "cell"))
    names = [other.classes[label] for label in other.boxes[0].labels]
    assert names == [scenes.classes[label] for label in scenes.boxes[0].labels]
    with pytest.raises(DataError, match=r"'plate'.*'cell'"):
        match_box_classes(scenes, ("cell",))


def test_the_identity_of_a_set_changes_with_one_box(tmp_path: Path) -> None:
    scenes = find(f"voc:{voc_folder(tmp_path)}").train
    before = scenes.identity()
    assert scenes.identity() == before
    moved = Boxes.of([(1, 1, 9, 9)], [0])
    scenes = type(scenes)(scenes.images, (moved, *scenes.boxes[1:]), scenes.sizes)
    assert scenes.identity() != before


def test_a_folder_that_is_none_of_ours_is_told_what_belongs_there(tmp_path: Path) -> None:
    for place, there in ((tmp_path / "none", "none .*no.* folder"), (tmp_path, "no folder")):
        with pytest.raises(DataError, match=f"{there}.*voc:DIR .*Annotations, JPEGImages"):
            find(f"voc:{place}")
        with pytest.raises(DataError, match=rf"{there}.*coco:DIR .*annotations/instances_train\*"):
            find(f"coco:{place}")


def test_a_source_without_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'voc:' .*voc:DIR"):
        find("voc:")
