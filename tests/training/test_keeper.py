"""The mean of the weights, the best of them, norms counted anew, and the end that comes early."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_loop import batches, network
from torch import Tensor

import residua
from few import few_of
from residua.data.transforms import normalise
from residua.errors import CheckpointError, ConfigError
from residua.events import Note, Stopped
from residua.nn.network import Network
from residua.runs import checkpoint
from residua.runs.run import Run, create
from residua.spec import zoo
from residua.spec.recipe import Averaging, Budget, Optim, Plan, Recipe, Schedule
from residua.training import average
from residua.training.network import initial_network
from residua.weights.store import read
from small import PIXELS, PLAN, after, colours, fresh, go, recipe, rows, weights


def by_hand(path: list[dict[str, Tensor]], how: Averaging) -> dict[str, Tensor]:
    """The mean after all of the weights on `path`, the first of which are those before any update."""
    mean = {name: value.double() for name, value in path[0].items()}
    for step, state in enumerate(path[1:], 1):
        if step % how.every:
            continue
        updates = step // how.every
        decay = min(how.ema_decay, (1 + updates) / (10 + updates))
        for name, value in state.items():
            mean[name] = decay * mean[name] + (1 - decay) * value.double()
    return mean


@pytest.mark.parametrize("how", [Averaging(ema_decay=0.9), Averaging(ema_decay=0.15, every=3)])
def test_the_mean_is_the_mean_by_hand(how: Averaging) -> None:
    ours = network()
    running = average.EmaWeights(ours, how)
    path = [_floats(ours)]
    for step in range(1, 11):
        with torch.no_grad():
            for value in ours.state_dict().values():
                if value.is_floating_point():
                    value.add_(torch.randn(value.shape))
        path.append(_floats(ours))
        running.update(ours, step)
    for name, expected in by_hand(path, how).items():
        torch.testing.assert_close(
            running.network.state_dict()[name].double(), expected, rtol=1e-5, atol=1e-6
        )
    assert not running.network.training
    assert not any(weight.requires_grad for weight in running.network.parameters())


def _floats(net: Network) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items() if value.is_floating_point()}


def test_back_puts_the_mean_into_the_weights() -> None:
    ours = network()
    running = average.EmaWeights(ours, Averaging(ema_decay=0.5, every=2, lookahead=True))
    with torch.no_grad():
        ours.head[-1].weight.add_(1.0)
    running.update(ours, 1)
    assert not torch.equal(ours.head[-1].weight, running.network.head[-1].weight)
    running.update(ours, 2)
    assert torch.equal(ours.head[-1].weight, running.network.head[-1].weight)


def test_counted_norms_have_the_plain_mean_of_the_batches() -> None:
    ours = network(drop=True)
    before = {name: value.clone() for name, value in ours.named_parameters()}
    average.recalibrate_batch_norms(ours, batches(4), PLAN)
    activations = [ours.stem.conv1(normalise(batch.images, PIXELS)) for batch in batches(4)]
    means = torch.stack([one.mean((0, 2, 3)) for one in activations]).mean(0)
    variances = torch.stack([one.transpose(0, 1).flatten(1).var(1) for one in activations]).mean(0)
    torch.testing.assert_close(ours.stem.norm1.running_mean, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.stem.norm1.running_var, variances, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in ours.named_parameters())
    assert not ours.training
    assert ours.stem.norm1.momentum == 0.1


def test_a_run_with_counted_norms_ends_with_them(tmp_path: Path) -> None:
    plain = fresh(tmp_path / "plain", recipe(), colours())
    counted = fresh(tmp_path / "counted", recipe(average=Averaging(bn_recalibration_images=24)), colours())
    one, other = (
        checkpoint.load_weights(checkpoint.list_checkpoints(run.checkpoints)[0], "auto")[0]
        for run in (plain, counted)
    )
    for (name, value), expected in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(value, expected), name
    assert not torch.equal(one.stem.norm1.running_mean, other.stem.norm1.running_mean)
    assert rows(plain)[-1]["test_loss"] != rows(counted)[-1]["test_loss"]
    assert rows(plain)[:-1] == rows(counted)[:-1]


@pytest.mark.parametrize("asks", few_of(range(1, 10), (1, 9)))
def test_asked_to_stop_while_norms_are_counted_a_run_counts_them_anew(asks: int, tmp_path: Path) -> None:
    """Four rounds of counting for the weights and four for their mean: asked in each, and after the last."""
    run_recipe, data = recipe(average=Averaging(ema_decay=0.5, bn_recalibration_images=24)), colours()
    whole, steps, evaluations = fresh(tmp_path / "whole", run_recipe, data), 12, 4
    run = create(tmp_path / "parts", run_recipe, identity={})
    assert go(run, data, after(steps + evaluations + asks))[-1] == Stopped(steps)
    go(run, data)
    assert (weights(run), rows(run)) == (weights(whole), rows(whole))
    assert run.finished


@pytest.fixture
def averaged(tmp_path: Path) -> Run:
    return fresh(tmp_path / "run", recipe(average=Averaging(ema_decay=0.9)), colours())


def test_both_kinds_of_weights_are_judged_and_kept(averaged: Run) -> None:
    assert all({"test_error", "ema_test_error"} <= set(row) for row in averaged.metrics)
    raw, mean = (residua.load(averaged.path, weights=which).network for which in ("raw", "ema"))
    assert not torch.equal(raw.head[-1].weight, mean.head[-1].weight)
    assert torch.equal(residua.load(averaged.path).network.head[-1].weight, mean.head[-1].weight)


def test_the_best_weights_are_those_of_the_first_epoch_with_the_lowest_error(tmp_path: Path) -> None:
    data = colours()
    wild = recipe(optim=Optim(lr=0.3), budget=Budget(epochs=6, batch_size=6, save_seconds=1000.0))
    run = create(tmp_path, wild, identity={})
    heads: dict[int, Tensor] = {}

    def record_newest() -> bool:
        for path in checkpoint.list_checkpoints(run.checkpoints)[:1]:
            heads[int(path.stem[-9:])] = checkpoint.load_weights(path, "auto")[0].head[-1].weight
        return False

    go(run, data, record_newest)
    record_newest()
    errors = [row["test_error"] for row in run.metrics]
    step = run.metrics[errors.index(min(errors))]["step"]
    network_, kind = checkpoint.load_weights(run.checkpoints / checkpoint.BEST, "best")
    assert kind == "best"
    assert torch.equal(network_.head[-1].weight, heads[step])
    _, facts = read(run.checkpoints / checkpoint.BEST)
    assert facts["evaluation"] == {"step": step, "weights": "raw", "test_error": min(errors)}


def test_interruptions_leave_the_same_best_weights(tmp_path: Path) -> None:
    data, run_recipe = colours(), recipe(average=Averaging(ema_decay=0.8))
    whole = fresh(tmp_path / "whole", run_recipe, data)
    run = create(tmp_path / "parts", run_recipe, identity={})
    for asks in (2, 6, 3):
        go(run, data, after(asks))
    go(run, data)
    one, other = ((r.checkpoints / checkpoint.BEST).read_bytes() for r in (whole, run))
    assert one == other
    assert weights(whole) == weights(run)


def test_evaluation_says_which_weights_it_judged(averaged: Run) -> None:
    from residua.predict.predictor import read_classifier

    assert [read_classifier(averaged.path, which)[1] for which in ("auto", "raw", "ema", "best")] == [
        "ema",
        "raw",
        "ema",
        "best",
    ]


def test_weights_that_were_not_kept_are_asked_for_in_vain(tmp_path: Path) -> None:
    run = fresh(tmp_path, recipe(), colours())
    with pytest.raises(CheckpointError, match=r"no moving average.*--weights raw or best"):
        residua.load(run.path, weights="ema")
    (run.checkpoints / checkpoint.BEST).unlink()
    with pytest.raises(CheckpointError, match="no best weights"):
        residua.load(run.path, weights="best")


def impatient(patience: int) -> Recipe:
    """With a rate so small that nothing gets better."""
    budget = Budget(epochs=8, batch_size=6, save_seconds=1000.0, patience=patience)
    return recipe(optim=Optim(lr=1e-12), schedule=Schedule("constant"), budget=budget)


@pytest.mark.parametrize("patience", [1, 3])
def test_training_ends_after_so_many_epochs_without_a_lower_error(patience: int, tmp_path: Path) -> None:
    run = create(tmp_path, impatient(patience), identity={})
    messages = go(run, colours())
    assert isinstance(messages[-1], Note)
    assert f"error in {patience} epoch" in messages[-1].text
    errors = [row["test_error"] for row in run.metrics]
    assert len(errors) - 1 - errors.index(min(errors)) == patience
    assert len(errors) < 8
    assert run.finished


def test_an_early_end_is_the_same_after_interruptions(tmp_path: Path) -> None:
    whole = fresh(tmp_path / "whole", impatient(2), colours())
    run = create(tmp_path / "parts", impatient(2), identity={})
    for _ in range(40):
        if run.finished:
            break
        go(run, colours(), after(3))
    assert rows(run) == rows(whole)
    assert weights(run) == weights(whole)


def test_counted_norms_and_an_early_end_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="fixed length"):
        replace(impatient(2), average=Averaging(bn_recalibration_images=12))


def test_norms_that_stay_need_trained_weights(tmp_path: Path) -> None:
    run_recipe = recipe(optim=Optim(frozen_norms=True))
    with pytest.raises(ConfigError, match="give --weights"):
        fresh(tmp_path / "one", run_recipe, colours())
    trained = fresh(tmp_path / "two", recipe(), colours())
    state = checkpoint.list_checkpoints(trained.checkpoints)[0]
    run = fresh(tmp_path / "three", replace(run_recipe, weights=str(state)), colours())
    before, now = (
        checkpoint.load_weights(checkpoint.list_checkpoints(r.checkpoints)[0], "auto")[0]
        for r in (trained, run)
    )
    assert torch.equal(before.stem.norm1.running_mean, now.stem.norm1.running_mean)
    assert torch.equal(before.stem.norm1.weight, now.stem.norm1.weight)
    assert not torch.equal(before.stem.conv1.weight, now.stem.conv1.weight)


def test_a_whitening_stem_stays_as_it_was_set_and_survives_an_interruption(tmp_path: Path) -> None:
    whitening = recipe(optim=Optim(lr=0.05, momentum=0.9, whiten_stem=True), average=Averaging(ema_decay=0.9))
    whole = fresh(tmp_path / "whole", whitening, colours())
    states = {
        path.name: checkpoint.load_weights(path, "raw")[0].stem.conv1.weight
        for path in checkpoint.list_checkpoints(whole.checkpoints)
    }
    last = checkpoint.load_newest(whole.checkpoints)
    assert last is not None
    for filters in (*states.values(), last.tensors["average.stem.conv1.weight"]):
        assert torch.equal(filters, last.tensors["model.stem.conv1.weight"])
    filters = last.tensors["model.stem.conv1.weight"].flatten(1)
    assert torch.allclose(filters[::2], -filters[1::2])
    norms = filters.norm(dim=1)
    assert norms[0] < norms[-1]  # the largest variance is divided most
    run = create(tmp_path / "parts", whitening, identity={})
    go(run, colours(), after(5))
    go(run, colours())
    assert weights(run) == weights(whole)


def test_a_whitening_stem_is_for_random_weights() -> None:
    how = Optim(whiten_stem=True)
    with pytest.raises(ConfigError, match="--from-scratch"):
        recipe(optim=how, weights="some.safetensors")
    with pytest.raises(ConfigError, match="images"):
        recipe(optim=how, arch=zoo.arch("resnet3d18"))
    with pytest.raises(ConfigError, match="begins with a convolution"):
        initial_network(recipe(optim=how, arch=zoo.arch("resmlp")), ("a", "b"))


def test_bfloat16_does_not_make_the_mean_coarser(tmp_path: Path) -> None:
    run_recipe = recipe(plan=Plan("cpu", "channels_last", "bfloat16", 1), average=Averaging(ema_decay=0.9))
    state = checkpoint.load_newest(fresh(tmp_path, run_recipe, colours()).checkpoints)
    assert state is not None
    kinds = {value.dtype for name, value in state.tensors.items() if name.startswith("average.")}
    assert kinds == {torch.float32, torch.int64}
    assert np.isfinite(state.tensors["average.head.linear1.weight"].numpy()).all()
