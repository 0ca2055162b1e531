"""A long run holds no more at its end than in its first epochs (F18)."""

import os
import threading
from pathlib import Path

import pytest

from ranks import children_of
from residua.data.open import open_dataset
from residua.events import EpochRow
from residua.runs.run import create
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training.network import initial_network
from residua.training.session import TrainingSession
from small import never, recipe


def held() -> dict[str, int]:
    """What this process holds now."""
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count() + len(os.listdir("/proc/self/task")),
        "children": len(children_of(os.getpid())),
        "resident pages": int(Path("/proc/self/statm").read_text().split()[1]),
    }


@pytest.mark.parametrize(
    ("epochs", "growth"), [(25, 0.05), pytest.param(200, 0.02, marks=pytest.mark.battery)]
)
def test_many_epochs_hold_what_ten_hold(epochs: int, growth: float, photos: Path, tmp_path: Path) -> None:
    run_recipe = recipe(
        str(photos),
        augment=Augment("resized_crop"),
        data=Data(str(photos), num_workers=1, resident_bytes=0),
        budget=Budget(epochs=epochs, batch_size=12, save_seconds=0.0),
    )
    dataset = open_dataset(str(photos), val_fraction=0.2)
    run = create(tmp_path, run_recipe, identity={})
    fit = TrainingSession(
        run, initial_network(run_recipe, dataset.train.classes), dataset, ClassifyLearn(), stop=never
    )
    result = [held() for event in fit.events() if isinstance(event, EpochRow)]
    assert len(result) == epochs
    early, late = result[9], result[-2]
    for name in ("files", "threads", "children"):
        assert late[name] <= early[name], name
    assert late["resident pages"] < (1 + growth) * early["resident pages"]
