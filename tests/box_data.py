"""Sets of marked images, and a detector, so small that a test can train it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import small
from residua.spec.arch import Arch, Head
from residua.spec.augment import Augment
from residua.spec.block import Block, Conv
from residua.spec.detector import Detector
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Budget, Data, Optim, Recipe, Schedule

WIDE, HIGH = 80, 60
COLOURS = {"cell": (220, 40, 40), "plate": (40, 60, 220)}
Object = tuple[str, tuple[int, int, int, int]]
"""Class, and left, top, right and bottom, right and bottom being where it ends."""

DETECTOR = Detector(
    "ssd64", "ssd", 64, 64, (8, 16, 32),
    ((10, 18), (18, 30), (30, 44), (44, 60)), ((2.0,), (2.0,), (2.0,), (2.0,)), (8,),
)  # fmt: skip


def arch(classes: int = 2) -> Arch:
    """A stem of stride 4 and three stages, of strides 8, 16 and 32."""
    stages = tuple((Block("(CNA CN)A", (Conv(8, 3, 2), Conv(8)), "CN"),) for _ in range(3))
    preprocess = Preprocess(64, 64, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Arch(
        "tiny", "tiny", "tests", Block("CNAP", (Conv(8, 3, 2),)), stages, "", Head(), classes, preprocess
    )


def recipe(source: str, **changes: object) -> Recipe:
    """Three epochs of three steps for the 12 training images of `voc_folder`."""
    base = Recipe(
        "tests",
        arch(),
        Data(source, num_workers=0),
        Augment("ssd", zoom=1.5),
        Optim(lr=2e-3, kind="adamw", weight_decay=0.01, grad_clip=10.0),
        Schedule("cosine", warmup=0.2),
        Budget(epochs=3, batch_size=4, save_seconds=1000.0),
        replace(small.PLAN, compile="off"),
        detector=DETECTOR,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def objects(seed: int) -> list[Object]:
    """Two or three objects that do not overlap much."""
    chance = np.random.default_rng(seed)
    marks: list[Object] = []
    for place in range(2 + seed % 2):
        name = "cell" if (seed + place) % 2 else "plate"
        side = int(chance.integers(14, 22))
        left, top = int(chance.integers(0, 8)) + 26 * place, int(chance.integers(0, HIGH - side))
        marks.append((name, (left, top, min(WIDE, left + side), top + side)))
    return marks


def picture(marks: Sequence[Object], seed: int) -> Image.Image:
    """Grey noise with the objects in their colours."""
    pixels = np.random.default_rng(seed).integers(90, 130, (HIGH, WIDE, 3)).astype(np.uint8)
    for name, (left, top, right, bottom) in marks:
        pixels[top:bottom, left:right] = COLOURS[name]
    return Image.fromarray(pixels)


def xml(marks: Sequence[Object], *, extra: str = "", difficult: Sequence[int] = ()) -> str:
    """An annotation file of VOC, whose first pixel is 1; `extra` is put behind the objects."""
    elements = "".join(
        thing(name, (box[0] + 1, box[1] + 1, box[2], box[3]), difficult=i in difficult)
        for i, (name, box) in enumerate(marks)
    )
    size = f"<size><width>{WIDE}</width><height>{HIGH}</height><depth>3</depth></size>"
    return f"<annotation>{size}{elements}{extra}</annotation>"


def thing(name: str, corners: Sequence[object], *, difficult: bool = False) -> str:
    """One object with these texts as the file's xmin, ymin, xmax and ymax."""
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{side}>{text}</{side}>" for side, text in sides)
    fields = f"<name>{name}</name><difficult>{int(difficult)}</difficult>"
    return f"<object>{fields}<bndbox>{box}</bndbox></object>"


def voc_folder(root: Path, *, train: int = 12, test: int = 6) -> Path:
    """`root` in VOC's layout."""
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for name, first, count in (("trainval", 0, train), ("test", 1000, test)):
        keys = []
        for seed in range(first, first + count):
            marks = objects(seed)
            picture(marks, seed).save(root / f"JPEGImages/{seed:06}.png")
            (root / f"Annotations/{seed:06}.xml").write_text(xml(marks))
            keys.append(f"{seed:06}")
        (root / f"ImageSets/Main/{name}.txt").write_text("\n".join(keys) + "\n")
    return root


CATEGORIES = {3: "plate", 7: "cell", 90: "ghost"}
"""Numbers with gaps, and not in the order of the names."""


def coco_folder(root: Path, *, train: int = 4, val: int = 3) -> Path:
    """`root` in COCO's layout."""
    (root / "annotations").mkdir(parents=True)
    number = {name: each for each, name in CATEGORIES.items()}
    for split, first, count in (("train", 0, train), ("val", 1000, val)):
        folder = root / f"{split}2017"
        folder.mkdir()
        images, marks = [], []
        for seed in range(first, first + count):
            picture(objects(seed), seed).save(folder / f"{seed:012}.png")
            images.append({"id": seed, "file_name": f"{seed:012}.png", "width": WIDE, "height": HIGH})
            for name, (left, top, right, bottom) in objects(seed):
                marks.append(
                    {
                        "id": len(marks) + 1,
                        "image_id": seed,
                        "category_id": number[name],
                        "bbox": [left, top, right - left, bottom - top],
                        "area": 0.7 * (right - left) * (bottom - top),
                        "iscrowd": 0,
                        "segmentation": [[left, top, right, bottom]],
                    }
                )
        names = [{"id": each, "name": name} for each, name in CATEGORIES.items()]
        document = {"images": images[::-1], "annotations": marks, "categories": names}
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(document))
    return root
