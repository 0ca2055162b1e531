"""Transforms keep the pixels of an object and its box together."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from box_data import DETECTOR, arch
from residua.data.boxes import Boxes, box_iou
from residua.spec.augment import Augment
from residua.spec.detector import DETECTORS
from residua.tasks.detect.transforms import BoxView, eval_box_view, resized_size, to_image, train_box_view

PREPROCESS = arch().preprocess
LARGE_DETECTOR = replace(DETECTOR, size=120, longest=120)
BOX = (30, 22, 62, 50)
PLAIN = Augment("none", flip=0.0)
SSD = Augment("ssd", flip=0.5, zoom=2.0)


def image_with(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (160, 90)) -> Image.Image:
    """A black image with white boxes."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    return Image.fromarray(pixels)


def white_box(view: BoxView) -> np.ndarray:  # type: ignore[type-arg]
    """The box around the white pixels."""
    light = view.pixels.mean(2)
    rows, columns = np.nonzero(light > 0.8 * light.max())  # colours may be distorted, the padding is grey
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_a_whole_view_is_what_torchvision_resizes() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 160, 3)).astype(np.uint8))
    view = eval_box_view(image, Boxes.of([BOX], [1]), LARGE_DETECTOR, PREPROCESS)
    assert np.array_equal(view.pixels, np.asarray(v2.Resize((120, 120))(image)))
    scale = np.array([120 / 160, 120 / 90] * 2)
    assert np.allclose(view.boxes.corners, np.array([BOX]) * scale)
    assert np.allclose(to_image(view.boxes.corners, view.window, (120, 120)), [BOX], atol=1e-4)


def test_an_image_that_keeps_its_shape_has_the_sides_torchvision_gives_it() -> None:
    detector = DETECTORS["fasterrcnn_fpn"]
    for wide, high in ((640, 480), (500, 375), (2000, 300), (100, 4000)):
        resized = v2.Resize(detector.size, max_size=detector.longest)(Image.new("RGB", (wide, high)))
        assert np.abs(np.subtract(resized_size(detector, wide, high), resized.size)).max() <= 1


@pytest.mark.parametrize("index", range(40))
def test_boxes_stay_on_their_objects(index: int) -> None:
    view = train_box_view(
        image_with(BOX), Boxes.of([BOX], [1]), LARGE_DETECTOR, PREPROCESS, SSD, (0, 0, index)
    )
    assert view.pixels.shape == (120, 120, 3)
    if len(view.boxes):
        left, top, right, bottom = view.window
        scale = 120 / min(right - left, bottom - top)
        assert np.abs(white_box(view) - view.boxes.corners[0]).max() <= max(1.5, scale)


def views() -> Iterator[BoxView]:
    for index in range(60):
        yield train_box_view(
            image_with(BOX), Boxes.of([BOX], [1]), LARGE_DETECTOR, PREPROCESS, SSD, (0, 0, index)
        )


def test_views_zoom_out_crop_and_change_colours() -> None:
    windows = [view.window for view in views()]
    wide = [right - left for left, _, right, _ in windows]
    assert sum(side > 160 for side in wide) > 5
    assert max(wide) <= 320
    assert sum(side < 160 for side in wide) > 15
    assert all(len(view.boxes) for view in views())  # a crop holds the centre of some box
    assert len({view.pixels.max() for view in views()}) > 5


def test_a_mirrored_view_is_the_view_mirrored() -> None:
    ways = [replace(SSD, flip=share) for share in (0.0, 1.0)]
    plain, turned = (
        train_box_view(image_with(BOX), Boxes.of([BOX], [1]), LARGE_DETECTOR, PREPROCESS, way, (0, 0, 7))
        for way in ways
    )
    assert np.array_equal(plain.pixels[:, ::-1], turned.pixels)
    left, top, right, bottom = plain.boxes.corners[0]
    assert np.allclose(turned.boxes.corners[0], [120 - right, top, 120 - left, bottom])


def test_crops_overlap_some_box() -> None:
    """Ten boxes in a row."""
    row = [(4 + 15 * n, 30, 14 + 15 * n, 40) for n in range(10)]
    boxes = Boxes.of(row, [0] * 10)
    for index in range(50):
        view = train_box_view(
            image_with(*row), boxes, LARGE_DETECTOR, PREPROCESS, replace(SSD, zoom=1.0), (3, 0, index)
        )
        whole = box_iou(boxes.corners, np.array([view.window]))
        assert whole.max() > 0


def test_every_draw_is_keyed_by_seed_epoch_and_index() -> None:
    def view(*where: int) -> BoxView:
        return train_box_view(image_with(BOX), Boxes.of([BOX], [1]), LARGE_DETECTOR, PREPROCESS, SSD, where)  # type: ignore[arg-type]

    assert np.array_equal(view(1, 2, 3).pixels, view(1, 2, 3).pixels)
    others = [view(1, 2, 4), view(1, 3, 3), view(2, 2, 3)]
    assert not any(np.array_equal(view(1, 2, 3).pixels, other.pixels) for other in others)


def test_boxes_with_their_centre_outside_are_dropped_and_others_clipped() -> None:
    from residua.tasks.detect.transforms import _boxes_in_window

    boxes = Boxes.of([(0, 0, 20, 20), (30, 30, 60, 60), (70, 0, 76, 6)], [0, 1, 0])
    clipped = _boxes_in_window(boxes, (10.5, 0.0, 50.0, 50.0), (2.0, 2.0))
    assert clipped.labels.tolist() == [1]
    assert clipped.corners.tolist() == [[39.0, 60.0, 79.0, 100.0]]
