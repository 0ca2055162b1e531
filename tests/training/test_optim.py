"""Optimisers of every kind: what they are given, what they do, and what is refused."""

import builtins
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_loop import batches, network

from residua.errors import ConfigError
from residua.nn.network import layer_groups
from residua.spec import zoo
from residua.spec.recipe import Optim
from residua.training import optim
from residua.training.loop import train
from residua.training.losses import make_loss_fn
from small import PIXELS, PLAN

KINDS = [
    Optim(kind="sgd"),
    Optim(kind="adamw", lr=0.01),
    Optim(kind="lamb", lr=0.01),
    Optim(kind="muon", lr=0.02, nesterov=True),
]


def losses(how: Optim, *, steps: int = 10, **changes: Any) -> list[float]:
    ours = network()
    moments = train(
        ours,
        batches(steps),
        make_loss_fn(PIXELS, PLAN, 0.0),
        optimizer=optim.make_optimizer(ours, how),
        lr_at=lambda _: how.lr,
        seed=7,
        train_mode=optim.train_mode(how),
        **changes,
    )
    return [float(moment.loss) for moment in moments]


@pytest.mark.parametrize("how", KINDS, ids=lambda how: how.kind)
def test_every_kind_learns(how: Optim) -> None:
    result = losses(how, steps=10)
    assert sum(result[-3:]) < 0.7 * sum(result[:3])


def test_adamw_is_torchs() -> None:
    how = replace(KINDS[1], beta2=0.99, momentum=0.8, weight_decay=0.1)
    ours, copied = network(), network()
    loss_fn = make_loss_fn(PIXELS, PLAN, 0.0)
    run_recipe = optim.make_optimizer(ours, how)
    list(train(ours, batches(5), loss_fn, optimizer=run_recipe, lr_at=lambda _: 0.01, seed=0))
    adamw = torch.optim.AdamW(copied.parameters(), 0.01, (0.8, 0.99), weight_decay=0.1, fused=True)
    for batch in batches(5):
        copied.train()
        adamw.zero_grad()
        loss_fn(copied, batch)[0].backward()
        adamw.step()
    for mine, theirs in zip(ours.parameters(), copied.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_muon_leaves_the_first_and_last_layer_and_all_vectors_to_adamw() -> None:
    ours = network()
    run_recipe = optim.make_optimizer(ours, KINDS[3])
    list(
        train(
            ours,
            batches(1),
            make_loss_fn(PIXELS, PLAN, 0.0),
            optimizer=run_recipe,
            lr_at=lambda _: 0.01,
            seed=0,
        )
    )
    by_adamw = {name for name, weight in ours.named_parameters() if "exp_avg" in run_recipe.state[weight]}
    expected = {
        name
        for name, weight in ours.named_parameters()
        if weight.ndim == 1 or name.startswith(("stem.", "head."))
    }
    assert by_adamw == expected


@pytest.mark.parametrize("kind", ["lamb", "muon"])
def test_without_its_library_a_kind_names_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *words: Any) -> Any:
        if name.startswith("timm"):
            raise ImportError(name)
        return real(name, *words)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ConfigError, match=rf"{kind} .*residua\[optim\]"):
        optim.make_optimizer(network(), Optim(kind=kind))  # type: ignore[arg-type]


def test_a_fused_kernel_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lamb .*fused"):
        optim.make_optimizer(network(), KINDS[2], fused="on")


def test_each_block_learns_at_a_share_of_the_rate_of_the_one_above() -> None:
    ours = network()
    run_recipe = optim.make_optimizer(ours, Optim(layer_decay=0.5))
    names = {id(weight): name for name, weight in ours.named_parameters()}
    scales = {names[id(w)]: group["scale"] for group in run_recipe.param_groups for w in group["params"]}
    groups = layer_groups(ours)
    assert [scales[group[0]] for group in groups] == [
        0.5 ** (len(groups) - 1 - i) for i in range(len(groups))
    ]
    assert set(scales) == set(names.values())
    moment = next(
        train(
            ours,
            batches(1),
            make_loss_fn(PIXELS, PLAN, 0.0),
            optimizer=run_recipe,
            lr_at=lambda _: 0.2,
            seed=0,
        )
    )
    assert moment.lr == 0.2
    assert sorted({group["lr"] for group in run_recipe.param_groups}) == [0.2 * 0.5**i for i in (3, 2, 1, 0)]


def test_frozen_norms_keep_statistics_and_weights_while_the_rest_learns() -> None:
    ours, how = network(), Optim(frozen_norms=True)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    run_recipe = optim.make_optimizer(ours, how)
    list(
        train(
            ours,
            batches(3),
            make_loss_fn(PIXELS, PLAN, 0.0),
            optimizer=run_recipe,
            lr_at=lambda _: 0.1,
            seed=0,
            train_mode=optim.train_mode(how),
        )
    )
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name]) == ("norm" in name), name


def test_gradients_longer_than_the_limit_are_shortened_to_it() -> None:
    ours = network()
    run_recipe = optim.make_optimizer(ours, Optim(momentum=0.0, weight_decay=0.0))
    before = [weight.detach().clone() for weight in ours.parameters()]
    list(
        train(
            ours,
            batches(1),
            make_loss_fn(PIXELS, PLAN, 0.0),
            optimizer=run_recipe,
            lr_at=lambda _: 1.0,
            seed=0,
            grad_clip=0.01,
        )
    )
    pairs = zip(ours.parameters(), before, strict=True)
    moved = torch.stack([(w.detach() - b).norm() for w, b in pairs]).norm()
    assert float(moved) == pytest.approx(0.01, rel=1e-3)


def test_a_batch_in_portions_gives_the_gradient_of_the_whole() -> None:
    """Without batch norms, which see one portion at a time."""
    run_recipe = replace(zoo.arch("smallconvnet"), classes=3, preprocess=PIXELS)
    run_recipe = replace(run_recipe, head=replace(run_recipe.head, drop=0.0))
    from residua.nn.network import build

    result = []
    for portions in (1, 2, 4):
        torch.manual_seed(0)
        ours = build(run_recipe)
        sgd = optim.make_optimizer(ours, Optim(lr=0.01))
        moments = train(
            ours,
            batches(4),
            make_loss_fn(PIXELS, PLAN, 0.0),
            optimizer=sgd,
            lr_at=lambda _: 0.01,
            seed=0,
            accumulate=portions,
        )
        totals = [(float(m.loss), int(m.num_wrong), m.num_images) for m in moments]
        result.append((totals, [weight.detach().clone() for weight in ours.parameters()]))
    for totals, weights in result[1:]:
        assert [t[1:] for t in totals] == [t[1:] for t in result[0][0]]
        assert [t[0] for t in totals] == pytest.approx([t[0] for t in result[0][0]], rel=1e-5)
        for mine, theirs in zip(weights, result[0][1], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"kind": "adamw", "nesterov": True},
            "optim.nesterov=false",
        ),
        ({"layer_decay": 0.0}, "layer_decay is 0"),
        ({"grad_clip": -1.0}, "grad_clip"),
    ],
)
def test_what_cannot_be_done_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Optim(**changes)
