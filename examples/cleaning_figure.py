"""Flips 30 % of the digits' labels, cleans them, and draws the labels that are least sure: OUT.svg."""

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np

from residua.curate.clean import CleanRequest, clean
from residua.data.open import open_dataset
from residua.jobs.train_request import TrainRequest
from residua.report.tiles import Tile, picture_grid

with tempfile.TemporaryDirectory() as made:
    folder, digits = Path(made), open_dataset("digits", val_fraction=0.2).train
    chance = np.random.default_rng(0)
    flipped = chance.random(len(digits)) < 0.3
    labels = np.where(flipped, (digits.labels + chance.integers(1, 10, len(digits))) % 10, digits.labels)
    for i in range(len(digits)):
        digits.image(i, "grey").save(folder / f"{i:04}.png")
    with (folder / "digits.csv").open("w") as file:
        named = ((f"{i:04}.png", label) for i, label in enumerate(labels))
        csv.writer(file).writerows([("path", "label"), *named])
    training = TrainRequest(str(folder / "digits.csv"), "cifar_resnet20", "quick.digits", epochs=8)
    quiet = {"listen": lambda *_: None, "progress": lambda *_: None}
    result = clean(CleanRequest(training, folds=3), folder / "out", stop=lambda: False, **quiet)
    assert result
    pictures = []
    for k in result.order[:12].tolist():
        label, suggested = result.rows[k].label, result.rows[k].suggested
        pictures.append(Tile(np.asarray(result.images.image(k, "grey")), f"{label} → {suggested}"))
    rows = tuple(tuple(pictures[start : start + 4]) for start in range(0, len(pictures), 4))
    Path(sys.argv[1]).write_text(picture_grid(rows))
