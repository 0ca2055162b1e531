"""The first losses of the recipes that people get unasked, as they were before others were added."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from residua import recipes
from residua.data.batches import training
from residua.data.sources.table import open_dataset
from residua.spec import change, zoo
from residua.spec.preprocess import Preprocess
from residua.training import optim
from residua.training.initial import initial
from residua.training.loop import train
from residua.training.losses import recipe_loss_fn
from residua.training.schedule import lr_at
from small import PLAN, photo_folder

GOLDEN = json.loads((Path(__file__).parent / "losses.json").read_text())


@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_losses_are_what_they_were(name: str, tmp_path: Path) -> None:
    """Equal to the bit on the machine that wrote them; elsewhere, to what convolutions round."""
    digits = name == "quick.digits"
    source = "digits" if digits else str(photo_folder(tmp_path, count=16, side=40))
    data = open_dataset(source, holdout=0.2)
    pixels = (
        Preprocess(8, 8, (0.3,), (0.4,), "grey") if digits else Preprocess(24, 24, (0.5,) * 3, (0.25,) * 3)
    )
    arch = change.with_classes(zoo.arch("cifar_resnet20"), len(data.train.classes))
    arch = change.with_preprocess(change.with_channels(arch, pixels.channels), pixels)
    made = replace(recipes.recipe(name, arch, source), plan=PLAN)
    network = initial(made, data.train.classes)
    batches = training(
        data.train,
        pixels,
        made.augment,
        seed=0,
        batch=16,
        first=0,
        steps=8,
        workers=0,
        resident_bytes=1 << 30,
        device=torch.device("cpu"),
    )
    moments = train(
        network,
        batches,
        recipe_loss_fn(made, PLAN, data.train),
        optimizer=optim.make(network, made.optim),
        lr_at=lambda step: lr_at(made.schedule, made.optim.lr, step, 100),
        seed=0,
    )
    assert [float(moment.loss) for moment in moments] == pytest.approx(GOLDEN[name], rel=2e-3)
