"""The first losses of the default recipes, in float64, against the values that losses.json has recorded.

In float32 the comparison would fail from the fourth step on: processors and torch versions round differently,
the difference moves a ReLU across zero, and losses then differ by percents. In float64 that does not happen.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from residua import recipes
from residua.data.batches import training_batches
from residua.data.open import open_dataset
from residua.spec import change, zoo
from residua.spec.preprocess import Preprocess
from residua.training import optim
from residua.training.loop import train
from residua.training.losses import recipe_loss_fn
from residua.training.network import initial_network
from residua.training.schedule import lr_at
from small import PLAN, photo_folder

GOLDEN = json.loads((Path(__file__).parent / "losses.json").read_text())


@pytest.fixture(autouse=True)
def weights_in_float64() -> Iterator[None]:
    """Draw the initial weights in float64 too: torch's float32 normal numbers depend on the processor."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def in_float64(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The inputs of a network in float64."""
    return tuple(value.double() for value in inputs)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_losses_are_what_they_were(name: str, tmp_path: Path) -> None:
    digits = name == "quick.digits"
    source = "digits" if digits else str(photo_folder(tmp_path, count=16, side=40))
    data = open_dataset(source, val_fraction=0.2)
    pixels = (
        Preprocess(8, 8, (0.3,), (0.4,), "grey") if digits else Preprocess(24, 24, (0.5,) * 3, (0.25,) * 3)
    )
    arch = change.with_classes(zoo.arch("cifar_resnet20"), len(data.train.classes))
    arch = change.with_preprocess(change.with_channels(arch, pixels.channels), pixels)
    recipe = replace(recipes.recipe(name, arch, source), plan=PLAN)
    network = initial_network(recipe, data.train.classes)
    network.register_forward_pre_hook(in_float64)
    batches = training_batches(
        data.train,
        pixels,
        recipe.augment,
        seed=0,
        batch_size=16,
        first=0,
        steps=8,
        workers=0,
        resident_bytes=1 << 30,
        device=torch.device("cpu"),
    )
    moments = train(
        network,
        batches,
        recipe_loss_fn(recipe, PLAN, data.train),
        optimizer=optim.make_optimizer(network, recipe.optim),
        lr_at=lambda step: lr_at(recipe.schedule, recipe.optim.lr, step, 100),
        seed=0,
    )
    assert [float(moment.loss) for moment in moments] == pytest.approx(GOLDEN[name], rel=1e-6)
