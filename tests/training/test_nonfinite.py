"""A number that is lost is caught before the update, without waiting for the device, and found."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_loop import batches, network
from test_optim import KINDS
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from residua.data.batches import training_batches
from residua.errors import DivergedError
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.runs.run import create
from residua.spec.augment import Augment
from residua.spec.recipe import Averaging, Optim, Schedule
from residua.training import nonfinite, optim
from residua.training.loop import Moment, train
from residua.training.losses import make_loss_fn
from small import PIXELS, PLAN, after, colours, go, recipe

LOSS_FN = make_loss_fn(PIXELS, PLAN, 0.0)


def moments(
    ours: Network, how: Optim, *, loss_fn: Any = LOSS_FN, steps: int = 6, **changes: Any
) -> Iterator[Moment]:
    return train(
        ours,
        batches(steps),
        loss_fn,
        optimizer=optim.make_optimizer(ours, how),
        lr_at=lambda _: 0.01,
        seed=0,
        **changes,
    )


def spoilt(at: int, what: str) -> Any:
    """A loss_fn whose loss, or whose gradient alone, is no number at step `at`."""
    count = iter(range(1, 1000))

    def loss_fn(net: Network, batch: Any) -> Any:
        loss, wrong = LOSS_FN(net, batch)
        if next(count) != at:
            return loss, wrong
        if what == "loss":
            return loss * float("nan"), wrong
        loss.register_hook(lambda gradient: gradient * float("inf"))
        return loss, wrong

    return loss_fn


@pytest.mark.parametrize("how", KINDS, ids=lambda how: how.kind)
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_from_the_first_lost_number_on_no_weight_moves(how: Optim, what: str) -> None:
    ours, copied = network(), network()
    result = list(moments(ours, how, loss_fn=spoilt(4, what)))
    assert [int(moment.nonfinite_step) for moment in result] == [0, 0, 0, 4, 4, 4]
    list(moments(copied, how, steps=3))
    for mine, theirs in zip(ours.parameters(), copied.parameters(), strict=True):
        assert torch.equal(mine, theirs)


class Reads(TorchDispatchMode):
    """Sees every kernel that gives the host a tensor's value or the size of a result that depends on one."""

    def __init__(self, result: list[str]) -> None:
        super().__init__()
        self.calls = result

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        aten = torch.ops.aten
        if func.overloadpacket in (aten._local_scalar_dense, aten.item, aten.nonzero, aten.masked_select):
            self.calls.append(str(func))
        if func.overloadpacket is aten.index and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        ):
            self.calls.append("index by mask")
        return func(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Sees every call that brings a whole tensor to the host."""

    def __init__(self, result: list[str]) -> None:
        super().__init__()
        self.calls = result

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("cpu", "tolist", "numpy", "__array__"):
            self.calls.append(func.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def waits() -> Iterator[list[str]]:
    """What the host waited for while inside."""
    result: list[str] = []
    with Copies(result), Reads(result):
        yield result


def test_waiting_is_seen() -> None:
    value = torch.ones(2)
    with waits() as result:
        float(value.sum())
        bool(value[0])
        value[1].item()
        value.cpu()
        value.tolist()
        value[value > 0]
    assert len(result) == 6


@pytest.mark.parametrize(
    "changes", [{}, {"grad_clip": 1.0, "accumulate": 2}], ids=["plain", "clipped portions"]
)
@pytest.mark.parametrize("how", KINDS[:2], ids=lambda how: how.kind)
def test_the_loop_never_waits_for_the_device(how: Optim, changes: dict[str, Any]) -> None:
    ours = network()
    with waits() as found_waits:
        for _ in moments(ours, how, **changes):
            pass
    assert found_waits == []


def test_neither_do_batches_that_are_touched() -> None:
    ours, images = network(), colours().train
    augment = Augment(
        "pad_crop", pad=1, border="reflect", erase=0.5, cutout=3, colour=0.1, mixup=0.2, cutmix=1.0
    )
    result = training_batches(
        images,
        PIXELS,
        augment,
        seed=0,
        batch_size=6,
        first=0,
        steps=6,
        workers=0,
        resident_bytes=1 << 20,
        device=torch.device("cpu"),
    )
    with waits() as found_waits:
        for _ in train(
            ours, result, LOSS_FN, optimizer=optim.make_optimizer(ours, Optim()), lr_at=lambda _: 0.1, seed=0
        ):
            pass
    assert found_waits == []


@contextmanager
def synchronisation_is_an_error() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_an_accelerator_is_never_waited_for() -> None:
    device = torch.device("cuda")
    ours = network().to(device)
    result = training_batches(
        colours().train,
        PIXELS,
        Augment("pad_crop", pad=1, erase=0.5, colour=0.1, mixup=0.2, cutmix=1.0),
        seed=0,
        batch_size=6,
        first=0,
        steps=12,
        workers=0,
        resident_bytes=1 << 20,
        device=device,
    )
    loss_fn = make_loss_fn(PIXELS, type(PLAN)("cuda", "channels_last", "bfloat16", 1), 0.1)
    run_recipe = optim.make_optimizer(ours, Optim(grad_clip=1.0))
    steps = train(ours, result, loss_fn, optimizer=run_recipe, lr_at=lambda _: 0.1, seed=0, grad_clip=1.0)
    next(steps)
    with synchronisation_is_an_error():
        for _ in steps:
            pass


def test_the_first_layer_that_loses_a_number_is_named() -> None:
    ours = network().train()
    with torch.no_grad():
        ours.get_parameter("stages.1.0.residual.conv1.weight")[0, 0, 0, 0] = float("inf")
    result = nonfinite.first_nonfinite_layer(ours, batches(1)[0], LOSS_FN, seed=0, step=0)
    assert re.search(r"layer .* stages\.1\.0\.residual\.conv1$", result)


def test_where_every_layer_is_finite_the_loss_or_a_gradient_is_named() -> None:
    ours = network().train()
    one = batches(1)[0]
    result = nonfinite.first_nonfinite_layer(ours, one, spoilt(1, "loss"), seed=0, step=0)
    assert "loss alone" in result
    result = nonfinite.first_nonfinite_layer(ours, one, spoilt(1, "gradient"), seed=0, step=0)
    assert re.search(r"gradient of head\.linear1\.bias .*first", result)


def test_a_run_that_diverges_says_where_and_saves_nothing_that_is_no_number(tmp_path: Path) -> None:
    data = colours()
    run_recipe = recipe(schedule=Schedule("constant"), average=Averaging(ema_decay=0.9))
    run = create(tmp_path, run_recipe, identity={})
    go(run, data, after(7))
    text = (run.path / "recipe.json").read_text().replace('"lr": 0.05', '"lr": 1e+30')
    (run.path / "recipe.json").write_text(text)
    with pytest.raises(DivergedError) as caught:
        go(run, data)
    messages = str(caught.value)
    wrong = json.loads((run.path / "diverged.json").read_text())
    assert f"at step {wrong['step']}" in messages
    assert wrong["layer"] in messages
    assert "output is NaN" in wrong["layer"]
    assert len(wrong["images"]) == 6
    assert all(
        title.startswith("train ") and title in {f"train {i}" for i in range(24)} for title in wrong["images"]
    )
    assert ", ".join(wrong["images"][:3]) in messages
    for path in run.checkpoints.iterdir():
        tensors, _ = checkpoint.read(path)
        assert all(np.isfinite(value.numpy()).all() for value in tensors.values())
