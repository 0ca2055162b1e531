"""The loop against the same arithmetic written out by hand."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from residua.data.batches import Batch
from residua.nn.network import Network, build
from residua.spec.recipe import Optim
from residua.training import optim
from residua.training.loop import train
from residua.training.losses import make_loss_fn
from small import PIXELS, PLAN, arch, colours, recipe

RATES = [0.1, 0.2, 0.05, 0.3, 0.1, 0.02, 0.4, 0.1, 0.1, 0.2]


def network(*, drop: bool = False) -> Network:
    torch.manual_seed(3)
    return build(arch(drop=drop))


def batches(count: int) -> list[Batch]:
    images = colours().train
    assert images.pixels is not None
    result = []
    for step in range(count):
        chosen = np.arange(6 * step, 6 * step + 6) % len(images)
        pixels = torch.from_numpy(images.pixels[chosen]).permute(0, 3, 1, 2)
        result.append(Batch(pixels, torch.from_numpy(images.labels[chosen]), chosen, 0))
    return result


def by_hand(copied: Network, how: Optim, *, seed: int) -> list[float]:
    """Ten steps of v = momentum v + gradient + decay w; w = w - rate v, and their losses."""
    momenta: dict[str, Tensor] = {}
    losses = []
    for step, batch in enumerate(batches(10)):
        torch.manual_seed((seed << 32) + step)
        copied.train()
        pixels = batch.images.float()
        mean, std = torch.tensor(PIXELS.mean) * 255, torch.tensor(PIXELS.std) * 255
        logits = copied(((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)).contiguous())
        chosen = torch.log_softmax(logits, 1)[torch.arange(6), batch.labels]
        loss = -chosen.mean()
        gradients = torch.autograd.grad(loss, list(copied.parameters()))
        with torch.no_grad():
            for (name, weight), gradient in zip(copied.named_parameters(), gradients, strict=True):
                decay = how.weight_decay if how.decay_norms_and_biases or weight.ndim > 1 else 0.0
                pull = gradient.add(weight, alpha=decay)
                momenta[name] = momenta[name].mul(how.momentum).add(pull) if step else pull.clone()
                push = pull.add(momenta[name], alpha=how.momentum) if how.nesterov else momenta[name]
                weight.add_(push, alpha=-RATES[step])
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "how",
    [
        Optim(momentum=0.9, weight_decay=1e-2),
        Optim(momentum=0.9, nesterov=True, weight_decay=1e-2),
        Optim(momentum=0.9, weight_decay=1e-2, decay_norms_and_biases=False),
    ],
    ids=["plain", "nesterov", "norms undecayed"],
)
def test_ten_steps_give_the_weights_of_the_same_steps_by_hand(how: Optim) -> None:
    ours, copied = network(drop=True), network(drop=True)
    moments = train(
        ours,
        batches(10),
        make_loss_fn(PIXELS, PLAN, 0.0),
        optimizer=optim.make_optimizer(ours, how),
        lr_at=RATES.__getitem__,
        seed=7,
    )
    losses = [float(moment.loss) for moment in moments]
    assert losses == pytest.approx(by_hand(copied, how, seed=7), rel=1e-5)
    for (name, value), other in zip(ours.state_dict().items(), copied.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-6, msg=name)


def test_the_loop_adds_nothing_to_plain_torch() -> None:
    ours, copied = network(drop=True), network(drop=True)
    how = Optim(momentum=0.9, nesterov=True, weight_decay=1e-2)
    loss_fn = make_loss_fn(PIXELS, PLAN, 0.0)
    list(
        train(
            ours,
            batches(10),
            loss_fn,
            optimizer=optim.make_optimizer(ours, how),
            lr_at=RATES.__getitem__,
            seed=7,
        )
    )
    sgd = torch.optim.SGD(copied.parameters(), 0.1, 0.9, weight_decay=1e-2, nesterov=True, fused=True)
    for step, batch in enumerate(batches(10)):
        sgd.param_groups[0]["lr"] = RATES[step]
        torch.manual_seed((7 << 32) + step)
        sgd.zero_grad()
        loss_fn(copied, batch)[0].backward()
        sgd.step()
    for (name, value), other in zip(ours.state_dict().items(), copied.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_the_objective_is_the_mean_cross_entropy_and_counts_the_wrong() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.5, 1.0], [0.0, 4.0, 0.0]])
    labels = torch.tensor([0, 1, 1, 1])
    batch = Batch(torch.zeros(4, 3, 12, 12, dtype=torch.uint8), labels, np.arange(4), 0)
    loss, wrong = make_loss_fn(PIXELS, PLAN, 0.0)(lambda _: logits, batch)  # type: ignore[arg-type]
    shares = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    assert float(loss) == pytest.approx(-np.log(shares[np.arange(4), labels]).mean(), rel=1e-6)
    assert int(wrong) == 1


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    batch = Batch(torch.zeros(1, 3, 12, 12, dtype=torch.uint8), torch.tensor([0]), np.arange(1), 0)
    loss, _ = make_loss_fn(PIXELS, PLAN, 0.3)(lambda _: logits, batch)  # type: ignore[arg-type]
    logs = torch.log_softmax(logits, 1)[0]
    assert float(loss) == pytest.approx(-float(0.7 * logs[0] + 0.1 * logs.sum()), rel=1e-6)


def test_the_network_sees_standardised_pixels_in_the_plans_layout() -> None:
    inputs: list[Tensor] = []

    def record(images: Tensor) -> Tensor:
        inputs.append(images)
        return torch.zeros(len(images), 3)

    pixels = torch.full((2, 3, 12, 12), 255, dtype=torch.uint8)
    batch = Batch(pixels, torch.tensor([0, 1]), np.arange(2), 0)
    for form in ("contiguous", "channels_last"):
        plan = type(PLAN)("cpu", form, "float32", 1)  # type: ignore[arg-type]
        make_loss_fn(PIXELS, plan, 0.0)(record, batch)  # type: ignore[arg-type]
    assert torch.allclose(inputs[0], torch.tensor(2.0))
    assert inputs[0].is_contiguous()
    assert inputs[1].is_contiguous(memory_format=torch.channels_last)


def test_one_step_is_made_for_each_moment_asked_for() -> None:
    ours = network()
    consumed = 0

    def counted() -> itertools.chain[Batch]:
        nonlocal consumed
        for batch in batches(10):
            consumed += 1
            yield batch

    moments = train(
        ours,
        counted(),
        make_loss_fn(PIXELS, PLAN, 0.0),
        optimizer=optim.make_optimizer(ours, recipe().optim),
        lr_at=lambda _: 0.1,
        seed=0,
        done=4,
    )
    steps = [moment.step for moment in itertools.islice(moments, 3)]
    assert steps == [5, 6, 7]
    assert consumed == 3


def test_training_goes_on_in_train_mode_after_the_caller_has_judged() -> None:
    ours = network()
    before = ours.state_dict()["stem.norm1.running_mean"].clone()
    moments = train(
        ours,
        batches(2),
        make_loss_fn(PIXELS, PLAN, 0.0),
        optimizer=optim.make_optimizer(ours, recipe().optim),
        lr_at=lambda _: 0.1,
        seed=0,
    )
    next(moments)
    between = ours.state_dict()["stem.norm1.running_mean"].clone()
    ours.eval()
    next(moments)
    after = ours.state_dict()["stem.norm1.running_mean"]
    assert not torch.equal(before, between)
    assert not torch.equal(between, after)
