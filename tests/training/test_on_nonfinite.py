"""What follows a lost number: NaN in pixel, label, gradient and rate, under each of the three policies."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ranks import together
from residua.data.batches import Batch
from residua.errors import DivergedError
from residua.events import Event, Note
from residua.nn.network import build
from residua.runs.run import Run, create
from residua.spec.recipe import Averaging, Budget, Optim, Recipe
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training import nonfinite, optim
from residua.training.history import MAX_ROLLBACKS, ROLLBACK_FACTOR, RunHistory
from residua.training.losses import LossFn
from residua.training.network import initial_network
from residua.training.processes.world import World
from residua.training.session import TrainingSession
from residua.weights.store import read
from small import after, arch, colours, go, never, recipe, rows, weights

SPOILT = 6
"""The step, from 1, at which the number is lost: in the second epoch of four steps."""


def run_recipe(policy: str, **changes: Any) -> Recipe:
    return recipe(optim=Optim(lr=0.05, momentum=0.9, on_nonfinite=policy), **changes)  # type: ignore[arg-type]


def spoil(monkeypatch: pytest.MonkeyPatch, what: str, *, at: tuple[int, ...] = (SPOILT,)) -> None:
    """Lose a number of the batches `at`: they are known by their images, so in every resumption."""
    steps: dict[tuple[int, ...], int] = {}
    batches, loss_fn = ClassifyLearn.batches, ClassifyLearn.loss_fn

    def counted(*args: Any, first: int, **words: Any) -> Iterator[Batch]:
        for number, batch in enumerate(batches(*args, first=first, **words), first + 1):
            steps[(batch.epoch, *batch.indices.tolist())] = number
            yield batch

    def spoilt(*args: Any) -> LossFn:
        plain_loss = loss_fn(*args)

        def of(network: Any, batch: Batch) -> tuple[Tensor, Tensor]:
            if steps[(batch.epoch, *batch.indices.tolist())] not in at:
                return plain_loss(network, batch)
            if what == "pixel":
                network(torch.full(batch.images.shape, float("nan")))  # the norms see it
            loss, wrong = plain_loss(network, batch)
            if what == "gradient":
                loss.register_hook(lambda gradient: gradient * float("inf"))
                return loss, wrong
            return loss * float("nan"), wrong

        return of

    monkeypatch.setattr(ClassifyLearn, "batches", counted)
    monkeypatch.setattr(ClassifyLearn, "loss_fn", spoilt)


def messages(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Note))


def finite(run: Run) -> bool:
    states = [read(path)[0] for path in run.checkpoints.iterdir()]
    return all(bool(torch.isfinite(value).all()) for state in states for value in state.values())


@pytest.mark.parametrize("what", ["pixel", "label", "gradient"])
def test_by_default_the_run_ends_and_says_where(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, what)
    run = create(tmp_path, run_recipe("stop"), identity={})
    with pytest.raises(DivergedError, match=f"NaN or infinity .*step {SPOILT}"):
        go(run, colours())
    assert finite(run)


@pytest.mark.parametrize("what", ["pixel", "label", "gradient"])
def test_skip_leaves_out_that_update_and_puts_the_norms_back(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, what)
    run = create(tmp_path / "run", run_recipe("skip", average=Averaging(ema_decay=0.9)), identity={})
    notes = messages(go(run, colours()))
    assert re.search(f"1 update skipped .*step {SPOILT}:", notes)
    assert run.finished
    assert len(run.metrics) == 3
    assert finite(run)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lamb"])
def test_a_first_update_that_is_left_out_leaves_the_second_as_if_it_were_the_first(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Optim(kind=kind, lr=0.05)  # type: ignore[arg-type]
    network = build(arch()).train()
    copied = copy.deepcopy(network)
    images, result = torch.randn(4, 3, 12, 12), []
    for each, spoilt in ((network, True), (copied, False)):
        optimizer = optim.make_optimizer(each, how)
        guard = nonfinite.NonFiniteGuard(optimizer, 0.0, each, skip=lambda flag: flag)
        for factor in (float("nan"), 1.0) if spoilt else (1.0,):
            optimizer.zero_grad()
            guard.begin()
            loss = cross_entropy(each(images * factor), torch.tensor([0, 1, 2, 0]))
            loss.backward()
            guard.step(loss.detach(), torch.zeros(()), 1)
        result.append([*each.state_dict().values()])
    assert all(torch.equal(one, other) for one, other in zip(*result, strict=True))


def test_skip_goes_on_bit_for_bit_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "pixel")
    whole = create(tmp_path / "whole", run_recipe("skip"), identity={})
    go(whole, colours())
    parts = create(tmp_path / "parts", run_recipe("skip"), identity={})
    for asks in (6, 1, 2):
        go(parts, colours(), after(asks))
    go(parts, colours())
    assert (rows(parts), weights(parts)) == (rows(whole), weights(whole))


def test_a_policy_that_is_not_needed_changes_no_bit(tmp_path: Path) -> None:
    result = set()
    for policy in ("stop", "skip", "rollback"):
        run = create(tmp_path / policy, run_recipe(policy), identity={})
        go(run, colours())
        result.add(weights(run))
    assert len(result) == 1


def test_too_many_lost_in_a_row_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite, "MAX_SKIPS", 3)
    spoil(monkeypatch, "label", at=(3, 5, 6, 7))
    run = create(tmp_path, run_recipe("skip"), identity={})
    with pytest.raises(DivergedError, match=r"NaN or infinity .*step 7"):
        go(run, colours())
    assert finite(run)


def test_rollback_goes_on_from_the_last_state_at_half_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is at fault: above 0.03 in the second epoch every loss is lost."""
    run = create(tmp_path, run_recipe("rollback"), identity={})
    loss_fn, rates = ClassifyLearn.loss_fn, []

    def by_rate(*args: Any) -> LossFn:
        plain_loss = loss_fn(*args)

        def of(network: Any, batch: Batch) -> tuple[Tensor, Tensor]:
            loss, wrong = plain_loss(network, batch)
            wild = batch.epoch == 1 and not run.rollbacks
            return (loss * float("inf") if wild else loss), wrong

        return of

    monkeypatch.setattr(ClassifyLearn, "loss_fn", by_rate)
    events = go(run, colours())
    rates = {event.step: event.lr for event in events if hasattr(event, "lr")}
    clean = create(tmp_path / "clean", run_recipe("stop"), identity={})
    monkeypatch.setattr(ClassifyLearn, "loss_fn", loss_fn)
    as_planned = {e.step: e.lr for e in go(clean, colours()) if hasattr(e, "lr")}
    assert run.rollbacks == [4]
    assert "0.5 of the learning rate" in messages(events)
    assert run.finished
    for step, rate in rates.items():
        assert rate == pytest.approx(as_planned[step] * (ROLLBACK_FACTOR if step > 4 else 1))
    assert [row["step"] for row in run.metrics] == [4, 8, 12]
    assert finite(run)


@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
def test_a_weight_that_is_lost_is_caught_and_only_rollback_goes_on(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, after_step = create(tmp_path, run_recipe(policy), identity={}), RunHistory.after_step
    times = iter((SPOILT,))

    def spoilt(keeper: RunHistory, network: Any, step: int) -> None:
        after_step(keeper, network, step)
        if step == SPOILT and next(times, None):
            next(network.parameters()).data.view(-1)[0] = float("nan")

    monkeypatch.setattr(RunHistory, "after_step", spoilt)
    if policy == "rollback":
        assert "0.5 of the learning rate" in messages(go(run, colours()))
        assert run.finished
        assert run.rollbacks == [4]
    else:
        where = {"stop": f"step {SPOILT + 1}: the first layer .* is stem", "skip": "stem.* is not saved"}
        with pytest.raises(DivergedError, match=where[policy]):
            go(run, colours())
    assert finite(run)


@pytest.mark.parametrize("what", ["pixel", "label", "gradient"])
def test_rollback_gives_up_where_the_same_batch_loses_its_numbers_again(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, what)
    run = create(tmp_path, run_recipe("rollback"), identity={})
    with pytest.raises(DivergedError, match=f"NaN or infinity .*step {SPOILT}"):
        go(run, colours())
    assert run.rollbacks == [4] * MAX_ROLLBACKS
    assert [row["step"] for row in run.metrics] == [4]
    assert finite(run)


def test_before_the_first_epoch_rollback_goes_back_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "pixel", at=(2,))
    run = create(tmp_path, run_recipe("rollback"), identity={})
    with pytest.raises(DivergedError, match=r"NaN or infinity .*step 2"):
        go(run, colours())
    assert run.rollbacks == [0] * MAX_ROLLBACKS
    assert finite(run)


def test_a_rate_beyond_reason_is_halved_three_times_and_then_given_up(tmp_path: Path) -> None:
    wild = replace(
        run_recipe("rollback"), optim=Optim(lr=1e30, on_nonfinite="rollback"), budget=Budget(3, batch_size=6)
    )
    run = create(tmp_path, wild, identity={})
    with pytest.raises(DivergedError):
        go(run, colours())
    assert len(run.rollbacks) == MAX_ROLLBACKS
    assert finite(run)
    assert json.loads((run.path / "diverged.json").read_text())["images"]


def test_an_interrupted_run_remembers_that_it_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = create(tmp_path / "whole", run_recipe("rollback"), identity={})
    whole.record_rollback(0)
    go(whole, colours())
    parts = create(tmp_path / "parts", run_recipe("rollback"), identity={})
    parts.record_rollback(0)
    go(parts, colours(), after(3))
    go(parts, colours())
    assert weights(parts) == weights(whole)
    (tmp_path / "other").mkdir()
    plain = create(tmp_path / "other/run", run_recipe("rollback"), identity={})
    go(plain, colours())
    assert weights(plain) != weights(whole)


def test_every_process_leaves_out_what_one_of_them_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss alone is lost, on the second of two processes: no gradient tells the first."""
    data, run = colours(), create(tmp_path, run_recipe("skip"), identity={})
    loss_fn = ClassifyLearn.loss_fn

    def work(world: World) -> None:
        count = iter(range(1, 1000))

        def spoilt(*args: Any) -> LossFn:
            plain_loss = loss_fn(*args)

            def of(network: Any, batch: Batch) -> tuple[Tensor, Tensor]:
                loss, wrong = plain_loss(network, batch)
                if world.is_main or next(count) != SPOILT:
                    return loss, wrong
                return loss + (torch.tensor(float("inf")) - loss).detach(), wrong

            return of

        monkeypatch.setattr(ClassifyLearn, "loss_fn", spoilt)
        fit = TrainingSession(
            run,
            initial_network(run.recipe, data.train.classes),
            data,
            ClassifyLearn(),
            stop=never,
            world=world,
        )
        notes = messages(list(fit.events()))
        assert re.search(f"1 update skipped .*step {SPOILT}:", notes)

    together(2, work)
    assert run.finished
    assert finite(run)
