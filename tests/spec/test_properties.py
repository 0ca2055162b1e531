"""Whatever may be written keeps what it promises of shape, cost and gradient, or is refused in a sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from words import ANY_CONV, ANY_HEAD, ANY_POOL, ANY_WORD, arches, flat_arches, mixed_arches

from module_cost import module_cost
from residua.errors import ConfigError
from residua.nn.network import Network, build
from residua.spec import describe, walk
from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv, Fork, Join, Pool
from residua.spec.preprocess import Preprocess
from residua.spec.record import from_json, to_json

ANY = arches() | mixed_arches() | flat_arches()
"""Whole networks of every letter, join and fork."""


def passed(network: Network, x: Tensor) -> tuple[Tensor, ...]:
    """Logits of the network and, while it trains, of its auxiliary heads."""
    outputs = network(x)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def image(spec: Arch, count: int = 2) -> Tensor:
    return torch.randn(count, spec.channels, spec.preprocess.size, spec.preprocess.size)


@settings(max_examples=25, deadline=None)
@given(ANY)
def test_whatever_is_spelled_has_the_promised_shapes_and_comes_back_from_json(spec: Arch) -> None:
    network = build(spec).eval()
    last = network.forward_features(image(spec))
    rows = [row for row in describe.table(spec) if row.part not in ("head", "sides")]
    side = rows[-1].size
    assert last.shape == ((2, spec.widths()[-1]) if spec.is_flat else (2, spec.widths()[-1], side, side))
    assert network(image(spec)).shape == (2, spec.classes)
    assert from_json(Arch, to_json(spec)) == spec


@settings(max_examples=25, deadline=None)
@given(ANY)
def test_words_cost_what_their_modules_cost(spec: Arch) -> None:
    network = build(spec)
    total = describe.cost(spec)
    assert total.params == sum(value.numel() for value in network.parameters())
    if spec.sides:  # they run in training only, where nothing is counted
        return
    assert total == module_cost(network, channels=spec.channels, size=spec.preprocess.size)


@settings(max_examples=25, deadline=None)
@given(ANY)
def test_a_gradient_reaches_every_parameter(spec: Arch) -> None:
    network = build(spec).train()
    logits = passed(network, image(spec, 3))
    assert len(logits) == 1 + len(spec.sides)
    sum(some.square().sum() for some in logits).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@settings(max_examples=25, deadline=None)
@given(ANY, st.integers(1, 4))
def test_runs_are_the_layers_with_equal_blocks_counted(spec: Arch, times: int) -> None:
    runs = walk.block_repeats(spec)
    assert [layer for run in runs for layer in run.layers * run.count] == walk.layers(spec)
    assert sum(run.count for run in runs if run.block) == 1 + len(spec.blocks())
    steady = Block("(NAC)", (Conv(spec.widths()[-1], 1),), "C") if not spec.is_flat else None
    if steady:
        longer = Arch("x", "f", "s", spec.stem, (*spec.stages, (steady,) * times), preprocess=spec.preprocess)
        assert [(run.block, run.count) for run in walk.block_repeats(longer)][-2] == (steady, times)


def sentence(make: Callable[[], Any]) -> Any:
    """What `make` gives; None when it refuses in one line that says what to do, and in no other way."""
    try:
        return make()
    except ValueError as error:
        message = str(error)
    assert len(message) > 20
    assert "\n" not in message
    return None


@settings(max_examples=150, deadline=None)
@given(
    ANY_WORD,
    st.lists(ANY_CONV, max_size=3),
    ANY_WORD,
    st.booleans(),
    ANY_POOL,
    st.sampled_from((0.0, 0.5, 1.0)),
)
@example("(C)", [(4, 3, 1, 1, False, None)], "C", False, (3, 2, 1, False), 0.0)
def test_a_block_is_legal_or_refused_in_a_sentence(
    word: str, shapes: list[Any], shortcut: str, always: bool, window: Any, drop: float
) -> None:
    pool = sentence(lambda: Pool(*window))
    convs = [sentence(lambda shape=shape: Conv(*shape)) for shape in shapes]
    if pool is None or None in convs:
        return
    block = sentence(lambda: Block(word, tuple(convs), shortcut, always, pool, drop))
    if block is not None:
        check_built(block)


def check_built(*blocks: Block | Fork, head: Head | None = None) -> None:
    """A network of `blocks` runs as promised, or is refused before it runs."""
    flat = any(isinstance(block, Block) and block.is_flat for block in blocks)
    stem = Block("L", (Conv(4, 1),)) if flat else Block("C", (Conv(4),))
    preprocess = Preprocess(8, 8, (0.5,), (0.25,), "grey")
    spec = sentence(lambda: Arch("x", "f", "s", stem, (blocks,), "", head or Head(), 3, preprocess))
    if spec is None or sentence(lambda: walk.layers(spec)) is None:
        return
    with torch.device("meta"):
        network = sentence(lambda: build(spec))
        if network is not None:
            assert network.eval()(torch.empty(2, 1, 8, 8)).shape == (2, 3)


WORDS = (
    "C",
    "CNA",
    "(CN)A",
    "(NAC)",
    "NA(C NAC)",
    "(CNA CN)A",
    "P",
    "CAP",
    "LA",
    "(LNA LN)A",
    "CR",
    "(CN S)",
)
SKIPS = ("", "", "C", "CN", "PCN", "VC", "Z", "ZD", "E", "LN", "CD")


@st.composite
def nearly_legal(draw: st.DrawFn) -> Block | None:
    """A block of known words with shapes that may not fit them."""
    word, skip = draw(st.sampled_from(WORDS)), draw(st.sampled_from(SKIPS))
    count = sum(word.count(letter) for letter in "CL")
    kernels = draw(
        st.lists(
            st.tuples(
                st.sampled_from((2, 4, 6)),
                st.integers(1, 3),
                st.integers(1, 3),
                st.sampled_from((1, 2)),
                st.sampled_from((None, 0, 1)),
            ),
            min_size=count,
            max_size=count,
        )
    )
    convs = [sentence(lambda k=k: Conv(k[0], k[1], k[2], k[3], padding=k[4])) for k in kernels]
    pool = sentence(lambda: Pool(draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 1))))
    if pool is None or None in convs:
        return None
    join = draw(st.sampled_from((Join(), Join(), Join("shortcut"), Join(shortcut=0.5))))
    drop = 0.5 if {"D", "S"} & {*word, *skip} else 0.0
    return sentence(lambda: Block(word, tuple(convs), skip, draw(st.booleans()), pool, drop, join))


UNEVEN_GATE = Block(
    "NA(C NAC)",
    (Conv(2, 3, 1, padding=0), Conv(2, 1, 2)),
    "PCN",
    pool=Pool(3, 2, 0),
    join=Join("shortcut"),
)
"""Residual and shortcut end in 3 pixels of 8, the gate in 4."""


def test_a_gate_of_another_size_is_refused() -> None:
    preprocess = Preprocess(8, 8, (0.5,), (0.25,), "grey")
    stem = Block("C", (Conv(4),))
    with pytest.raises(ConfigError, match="gate in 4"):
        walk.layers(Arch("x", "f", "s", stem, ((UNEVEN_GATE,),), "", Head(), 3, preprocess))


@pytest.mark.parametrize("shortcut", ["Z", "E", "LN"])
def test_vectors_are_widened_by_a_shortcut(shortcut: str) -> None:
    check_built(Block("(LNA LN)A", (Conv(6, 1), Conv(6, 1)), shortcut))


@settings(max_examples=150, deadline=None)
@given(st.lists(nearly_legal(), min_size=1, max_size=3), ANY_HEAD)
def test_a_network_runs_as_promised_or_is_refused_in_a_sentence(
    blocks: list[Block | None], last: Any
) -> None:
    legal = [block for block in blocks if block is not None]
    if legal:
        check_built(*legal, head=sentence(lambda: Head(*last)))


@settings(max_examples=150, deadline=None)
@given(st.lists(nearly_legal(), min_size=2, max_size=3))
def test_a_fork_runs_as_promised_or_is_refused_in_a_sentence(branches: list[Block | None]) -> None:
    fork = sentence(lambda: Fork(tuple(branch for branch in branches if branch is not None)))
    if fork is not None:
        check_built(fork)


def test_a_refusal_of_anything_else_would_be_seen() -> None:
    with pytest.raises(ZeroDivisionError):
        sentence(lambda: 1 // 0)
    assert sentence(lambda: nn.Identity()) is not None
