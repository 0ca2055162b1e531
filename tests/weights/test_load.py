"""Filling a network: total, strict, reported in one line, and all or nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from residua.errors import CheckpointError, ConfigError
from residua.nn.network import Network, build
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv
from residua.spec.zoo import arch
from residua.weights import load, save_as
from residua.weights.dialect import Dialect, translate
from residua.weights.store import publish
from residua.weights.tables import CIFAR, DIALECTS, TIMM_RESNETV2, TORCHVISION

WIDE = Block("(CNA CN)A", (Conv(4, 3, 2), Conv(4)), "CN")
SAME = Block("(CNA CN)A", (Conv(4), Conv(4)), "CN")
TINY = Arch("tiny", "test", "ours", Block("CNA", (Conv(2),)), ((WIDE, SAME), (SAME,)), classes=5)


def shaken(spec: Arch) -> Network:
    """A network whose every number, statistics included, is random."""
    network = build(spec)
    for value in network.state_dict().values():
        value.copy_(torch.rand(value.shape) + 0.5 if value.is_floating_point() else torch.tensor(3))
    return network


def equal(left: Network, right: Network) -> bool:
    pairs = zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("source", ["residua", "torchvision", "timm", "cifar", "iduta"])
@pytest.mark.parametrize("named", [True, False])
def test_weights_saved_under_other_names_load_again(source: str, named: bool) -> None:
    old, new = shaken(TINY), build(TINY)
    theirs = save_as(old, source)
    assert len(theirs) == len(old.state_dict())
    assert not equal(old, new)
    report = load(new, theirs, source=source if named else "auto")
    is_torchvisions = source in ("timm", "iduta") and not named  # of equal names the first is reported
    reported = "torchvision" if is_torchvisions else source
    assert report == f"{len(theirs)} tensors from {reported} names"
    assert equal(old, new)


def test_torchvision_names_of_a_block_are_the_known_ones() -> None:
    theirs = set(save_as(build(TINY), "torchvision"))
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv2.weight", "fc.weight", "fc.bias"} < theirs
    assert {"layer1.0.downsample.0.weight", "layer1.0.downsample.1.bias"} < theirs
    assert {"layer1.1.bn1.running_var", "layer2.0.bn2.num_batches_tracked"} < theirs


def test_a_head_for_other_classes_stays_as_it_was_made() -> None:
    old, new = shaken(TINY), build(replace(TINY, classes=3))
    fresh = new.head.linear1.weight.clone()
    report = load(new, save_as(old, "cifar"))
    for words in ("50 tensors from cifar", "head re-initialised: 5 -> 3"):
        assert words in report
    assert torch.equal(new.head.linear1.weight, fresh)
    assert torch.equal(new.stem.conv1.weight, old.stem.conv1.weight)


def test_a_head_that_reads_other_features_is_refused() -> None:
    state = save_as(build(TINY), "torchvision")
    state["fc.weight"] = torch.zeros(7, 99)
    state["fc.bias"] = torch.zeros(7)
    with pytest.raises(CheckpointError, match=r"head\.linear1\.weight \(7, 99\) instead of \(5, 4\)"):
        load(build(TINY), state)


def test_files_from_before_the_counter_of_batches_load() -> None:
    old, new = shaken(TINY), shaken(TINY)
    state = {k: v for k, v in save_as(old, "cifar").items() if not k.endswith("num_batches_tracked")}
    load(new, state)
    assert new.stem.norm1.num_batches_tracked == 0
    assert torch.equal(new.stem.norm1.running_var, old.stem.norm1.running_var)


def test_frozen_norms_read_files_with_counters_and_write_files_without() -> None:
    old, new = shaken(TINY), build(TINY, norm="frozen")
    load(new, save_as(old, "torchvision"), source="torchvision")
    assert torch.equal(new.stem.norm1.running_var, old.stem.norm1.running_var)
    back = build(TINY)
    load(back, save_as(new, "torchvision"))
    assert torch.equal(back.stem.norm1.running_var, old.stem.norm1.running_var)


def test_a_missing_key_and_an_unread_key_are_named_and_nothing_is_changed() -> None:
    old, new, before = shaken(TINY), shaken(TINY), build(TINY)
    before.load_state_dict(new.state_dict())
    state = save_as(old, "torchvision")
    del state["layer1.1.conv2.weight"]
    state["layer9.0.conv1.weight"] = torch.zeros(1)
    with pytest.raises(
        CheckpointError, match=r"missing layer1\.1\.conv2\.weight; unexpected layer9\.0\.conv1\.weight"
    ):
        load(new, state)
    assert equal(new, before)


def test_a_wrong_shape_is_named_and_nothing_is_changed() -> None:
    old, new, before = shaken(TINY), shaken(TINY), build(TINY)
    before.load_state_dict(new.state_dict())
    state = {**save_as(old, "torchvision"), "layer2.0.bn2.bias": torch.zeros(9)}
    with pytest.raises(CheckpointError, match=r"1\.0\.residual\.norm2\.bias \(9,\) instead of \(4,\)"):
        load(new, state)
    assert equal(new, before)


def test_weights_of_another_network_say_what_does_not_fit() -> None:
    with pytest.raises(CheckpointError, match=r"unexpected .*layer1\.3\.conv1\.weight.* and \d+ more"):
        load(build(arch("cifar_resnet20")), save_as(build(arch("cifar_resnet32")), "cifar"))
    with pytest.raises(CheckpointError, match=r"missing stages\.0\.0\.residual\.conv1\.weight"):
        load(build(arch("cifar_resnet20")), save_as(build(arch("cifar_plain20")), "residua"))


def test_a_network_that_a_source_has_no_names_for_says_so() -> None:
    with pytest.raises(CheckpointError, match=r"cifar .*stem\.conv2\.weight"):
        save_as(build(arch("smallconvnet")), "cifar")
    with pytest.raises(CheckpointError, match=r"torchvision .*tail\.norm0\.weight"):
        save_as(build(replace(TINY, tail="NA")), "torchvision")


def test_an_unknown_source_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'torchvison'.*torchvision"):
        load(build(TINY), {}, source="torchvison")


def test_a_checkpoint_of_ours_gives_its_model_and_not_its_optimiser(tmp_path: Path) -> None:
    old, new, path = shaken(TINY), build(TINY), tmp_path / "last.safetensors"
    momentum = {"optim.stem.conv1.weight": torch.zeros(2, 3, 3, 3)}
    publish(path, {**{f"model.{k}": v for k, v in old.state_dict().items()}, **momentum}, {"step": 1})
    assert load(new, path) == "50 tensors from residua names"
    assert equal(old, new)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="damaged"):
        load(new, path)


def test_a_checkpoint_as_the_cifar_repository_saves_it_loads(tmp_path: Path) -> None:
    old, new = shaken(arch("cifar_resnet20")), build(arch("cifar_resnet20"))
    state = {f"module.{k}": v for k, v in save_as(old, "cifar").items()}
    torch.save({"state_dict": state, "best_prec1": 91.7}, tmp_path / "resnet20.th")
    assert "tensors from cifar names" in load(new, str(tmp_path / "resnet20.th"))
    assert equal(old, new)


def test_half_precision_weights_fill_a_float_network() -> None:
    old, new = shaken(TINY).half(), build(TINY)
    load(new, old.state_dict())
    assert torch.equal(new.stem.conv1.weight, old.stem.conv1.weight.float())
    assert new.stem.conv1.weight.dtype == torch.float32


def test_a_row_reads_both_ways_and_counts_from_their_first() -> None:
    rows = (("s{stage}.b{block+1}.c{n}", "stages.{stage}.{block}.residual.conv{n}"),)
    keys = ["stages.0.2.residual.conv3.weight"]
    state = {"s0.b3.c3.weight": torch.ones(1)}
    dialect = Dialect("zero", rows)
    ours = translate(state, dialect, keys, to="ours")
    assert list(ours) == keys
    assert translate(ours, dialect, keys, to="theirs") == state


def test_the_first_table_that_fits_is_taken_and_tables_stay_short() -> None:
    assert list(DIALECTS)[:2] == ["residua", "torchvision"]
    assert all(name == make(build(TINY)).name for name, make in DIALECTS.items())
    assert len(TORCHVISION.rows) == len(CIFAR.rows) <= 10
    assert len(TIMM_RESNETV2.rows) <= 10
