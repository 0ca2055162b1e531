"""VOC AP against a step-by-step reference, COCO AP against pycocotools called on files."""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residua.data.boxes import Boxes
from residua.errors import ConfigError
from residua.tasks.detect import coco_metric
from residua.tasks.detect.prediction import BoxPrediction
from residua.tasks.detect.score import score_boxes
from residua.tasks.detect.voc_metric import average_precisions, bootstrap_interval, rank_all_classes

ScoredBox = tuple[int, tuple[float, float, float, float], float]
"""Image, box and score."""


def union(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = wide * high if wide > 0 and high > 0 else 0.0
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def reference_ap(
    scored: list[ScoredBox], truth: list[tuple[int, tuple[float, ...], bool]], how: str
) -> float:
    """AP of one class, in percent, step by step as the development kit's VOCevaldet does it."""
    positives = sum(not is_ignored for _, _, is_ignored in truth)
    matched: set[int] = set()
    hits: list[bool] = []
    for image, box, _ in sorted(scored, key=lambda one: -one[2]):
        best, which = -1.0, -1
        for number, (other, mark, _) in enumerate(truth):
            if other == image and union(box, mark) > best:
                best, which = union(box, mark), number
        if best >= 0.5 and truth[which][2]:
            continue
        hits.append(best >= 0.5 and which not in matched)
        if best >= 0.5:
            matched.add(which)
    points = [(sum(hits[: n + 1]) / positives, sum(hits[: n + 1]) / (n + 1)) for n in range(len(hits))]
    if how == "eleven":
        best_at = [max([p for r, p in points if r >= n / 10], default=0.0) for n in range(11)]
        return 100 * sum(best_at) / 11
    area, before = 0.0, 0.0
    for n, (recall, _) in enumerate(points):
        area += (recall - before) * max(p for _, p in points[n:])
        before = recall
    return 100 * area


def scene(seed: int, images: int = 5) -> tuple[list[BoxPrediction], list[Boxes]]:
    """Objects of two classes; detections with true positives, misses and false positives, no equal scores."""
    chance = np.random.default_rng(seed)
    detections, truth = [], []
    for _ in range(images):
        low = chance.uniform(0, 60, (int(chance.integers(1, 5)), 2))
        corners = np.concatenate([low, low + chance.uniform(12, 40, low.shape)], 1)
        labels = chance.integers(0, 2, len(corners))
        truth.append(
            Boxes.of(corners.tolist(), labels.tolist(), (chance.random(len(corners)) < 0.2).tolist())
        )
        again = np.repeat(corners, 3, 0) + chance.normal(0, 4, (3 * len(corners), 4))
        again[:, 2:] = np.maximum(again[:, 2:], again[:, :2] + 1)
        is_kept = chance.random(len(again)) < 0.7
        names = np.where(chance.random(len(again)) < 0.9, np.repeat(labels, 3), 0)
        scores = chance.permutation(np.linspace(0.05, 0.95, len(again)))
        one = BoxPrediction(
            again[is_kept].astype(np.float32), names[is_kept], scores[is_kept].astype(np.float32)
        )
        detections.append(one.select(np.argsort(-one.scores)))
    return detections, truth


@pytest.mark.parametrize("how", ["area", "eleven"])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_voc_equals_a_step_by_step_reference(how: str, seed: int) -> None:
    detections, truth = scene(seed)
    ours = average_precisions(rank_all_classes(detections, truth, 2), how)  # type: ignore[arg-type]
    for label in (0, 1):
        objects = [
            (i, tuple(map(float, box)), bool(is_ignored))
            for i, boxes in enumerate(truth)
            for box, other, is_ignored in zip(boxes.corners, boxes.labels, boxes.ignored, strict=True)
            if other == label
        ]
        scored = [
            (i, tuple(map(float, box)), float(sure))
            for i, one in enumerate(detections)
            for box, other, sure in zip(one.corners, one.labels, one.scores, strict=True)
            if other == label
        ]
        if any(not is_ignored for _, _, is_ignored in objects):
            assert ours[label] == pytest.approx(reference_ap(scored, objects, how), abs=1e-9)  # type: ignore[arg-type]
        else:
            assert np.isnan(ours[label])


def test_voc_on_an_example_computed_by_hand() -> None:
    """Two objects; right, wrong, right: precision 1 up to half of the recall, then 2/3."""
    truth = [Boxes.of([(0, 0, 10, 10), (20, 20, 30, 30)], [0, 0])]
    corners = np.array([(0, 0, 10, 10), (50, 50, 60, 60), (20, 20, 30, 31)], np.float32)
    detections = [BoxPrediction(corners, np.zeros(3, np.int64), np.array([0.9, 0.8, 0.7], np.float32))]
    ranked = rank_all_classes(detections, truth, 1)
    assert average_precisions(ranked)[0] == pytest.approx(100 * (0.5 + 0.5 * 2 / 3))
    assert average_precisions(ranked, "eleven")[0] == pytest.approx(100 * (6 + 5 * 2 / 3) / 11)


def test_the_interval_holds_the_value_and_shrinks_with_images() -> None:
    widths = []
    for images in (6, 60):
        detections, truth = scene(1, images)
        ranked = rank_all_classes(detections, truth, 2)
        low, high = bootstrap_interval(ranked)
        assert low <= float(np.nanmean(average_precisions(ranked))) <= high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


@pytest.mark.parametrize("protocol", ["voc", "voc2007"])
def test_the_interval_leaves_out_samples_without_an_object(protocol: str) -> None:
    """Of five images one has an object: a third of all samples have none, and so no precision."""
    nothing = BoxPrediction(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    corners, one = np.array([(0, 0, 9, 9), (20, 20, 29, 29)], np.float32), np.ones(2, np.float32)
    detections = [BoxPrediction(corners, np.zeros(2, np.int64), one), *[nothing] * 4]
    truth = [Boxes.of([(0, 0, 9, 9)], [0]), *[Boxes.of([], [])] * 4]
    result = score_boxes(detections, truth, protocol=protocol, classes=("a", "b"), split="t", weights="raw")
    assert (result.value, result.interval) == (100.0, (100.0, 100.0))


@pytest.mark.parametrize("seed", range(4))
def test_coco_equals_pycocotools_called_by_hand_on_files(seed: int, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    detections, truth = scene(seed, 12)
    numbers = {0: 4, 1: 17}  # categories with gaps
    objects, results = [], []
    for image, (boxes, one) in enumerate(zip(truth, detections, strict=True)):
        for box, label, is_ignored in zip(
            boxes.corners.tolist(), boxes.labels.tolist(), boxes.ignored.tolist(), strict=True
        ):
            left, top, right, bottom = box
            size = [left, top, right - left, bottom - top]
            where = {"image_id": 50 + image, "category_id": numbers[label], "bbox": size}
            objects.append(
                {"id": len(objects) + 1, "area": size[2] * size[3], "iscrowd": int(is_ignored), **where}
            )
        for box, label, sure in zip(
            one.corners.tolist(), one.labels.tolist(), one.scores.tolist(), strict=True
        ):
            left, top, right, bottom = box
            results.append({"image_id": 50 + image, "category_id": numbers[label], "score": sure,
                            "bbox": [left, top, right - left, bottom - top]})  # fmt: skip
    document = {
        "images": [{"id": 50 + image} for image in range(len(truth))],
        "annotations": objects,
        "categories": [{"id": number, "name": str(number)} for number in numbers.values()],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    (tmp_path / "found.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = coco.COCO(str(tmp_path / "truth.json"))
        coco_eval = cocoeval.COCOeval(annotations, annotations.loadRes(str(tmp_path / "found.json")), "bbox")
        coco_eval.evaluate()
        coco_eval.accumulate()
        coco_eval.summarize()
    ours = score_boxes(detections, truth, protocol="coco", classes=("a", "b"), split="test", weights="raw")
    assert [name for name, _ in ours.parts] == list(coco_metric.METRIC_NAMES)
    theirs = [100 * value if value > -1 else np.nan for value in coco_eval.stats]
    assert [value for _, value in ours.parts] == pytest.approx(theirs, abs=1e-4, nan_ok=True)
    assert np.mean([ap for _, ap in ours.classes]) == pytest.approx(ours.value)


def hide(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`import` of the library and its parts fails as if it were not installed."""
    for name in (library, *(name for name in sys.modules if name.startswith(f"{library}."))):
        monkeypatch.setitem(sys.modules, name, None)


def crowded(images: int) -> tuple[list[BoxPrediction], list[Boxes]]:
    """Equal scores, more than 100 boxes an image, an image without objects and one without detections."""
    detections, truth = scene(3, images)
    many = [
        np.concatenate([getattr(one, name)] * 20) for one in detections[:1] for name in ("corners", "labels")
    ]
    tied = BoxPrediction(*many, np.full(len(many[1]), 0.5, np.float32))
    nothing = BoxPrediction(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    return [tied, nothing, *detections[2:]], [*truth[:-1], Boxes.of([], [])]


@pytest.mark.parametrize("case", [scene(0, 12), scene(1, 12), crowded(8)], ids=["0", "1", "crowded"])
def test_both_libraries_give_the_same_metrics(
    case: tuple[list[BoxPrediction], list[Boxes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocotools")
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")
    assert coco_metric.import_cocoeval()[1].__name__ == "COCOeval_faster"
    value, parts, by_class = coco_metric.coco_average_precision(*case, 3)
    hide("faster_coco_eval", monkeypatch)
    assert coco_metric.import_cocoeval()[1].__name__ == "COCOeval"
    slow, slow_parts, slow_by_class = coco_metric.coco_average_precision(*case, 3)
    assert value == pytest.approx(slow, abs=1e-6)
    assert dict(parts) == pytest.approx(dict(slow_parts), abs=1e-6, nan_ok=True)
    np.testing.assert_allclose(by_class, slow_by_class, atol=1e-6)


def test_without_a_library_coco_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide("faster_coco_eval", monkeypatch)
    hide("pycocotools", monkeypatch)
    with pytest.raises(ConfigError, match=r"residua\[detect\]"):
        coco_metric.import_cocoeval()


def test_no_detection_at_all_scores_zero() -> None:
    nothing = BoxPrediction(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    _, truth = scene(0)
    for protocol in ("coco", "voc", "voc2007"):
        result = score_boxes(
            [nothing] * 5, truth, protocol=protocol, classes=("a", "b"), split="t", weights="raw"
        )
        assert result.value == 0.0
