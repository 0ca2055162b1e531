"""A first convolution for another number of channels, and containers inside containers."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_load import TINY, equal, shaken
from timm.models._manipulate import adapt_input_conv

from residua.errors import CheckpointError
from residua.nn.network import build
from residua.spec.change import with_channels
from residua.weights import load, save_as
from residua.weights.adapt import adapt_channels
from residua.weights.foreign import read_foreign


@pytest.mark.parametrize(("there", "here"), [(3, 1), (3, 2), (3, 4), (3, 5), (3, 9), (1, 3), (4, 1), (4, 3)])
def test_channels_are_adapted_as_timm_does(there: int, here: int) -> None:
    weight = torch.randn(8, there, 5, 5)
    words = {} if there == 3 else {"base_chans": there}
    if words.keys() - inspect.signature(adapt_input_conv).parameters.keys():
        pytest.skip("timm before 1.0.31 adapts networks of 3 channels alone")
    assert torch.equal(adapt_channels(weight, here), adapt_input_conv(here, weight, **words))


def test_half_precision_stays_half_precision() -> None:
    weight = torch.randn(8, 3, 5, 5).half()
    assert adapt_channels(weight, 1).dtype == torch.float16
    assert torch.equal(adapt_channels(weight, 1), adapt_input_conv(1, weight))


@pytest.mark.parametrize(("there", "here"), [(3, 1), (1, 3)])
def test_a_loaded_first_convolution_is_adapted_and_said(there: int, here: int) -> None:
    old, new = shaken(with_channels(TINY, there)), build(with_channels(TINY, here))
    report = load(new, save_as(old, "cifar"))
    for words in ("50 tensors from cifar", f"convolution adapted: {there} -> {here}"):
        assert words in report
    grey = torch.rand(2, 1, 8, 8).repeat(1, 3, 1, 1)
    assert torch.allclose(old.eval()(grey[:, :there]), new.eval()(grey[:, :here]), atol=1e-5)


def test_a_first_convolution_of_another_kernel_is_refused() -> None:
    state = save_as(build(TINY), "torchvision")
    state["conv1.weight"] = torch.zeros(2, 1, 7, 7)
    with pytest.raises(CheckpointError, match=r"\(2, 1, 7, 7\) instead of \(2, 3, 3, 3\)"):
        load(build(TINY), state)


def test_head_and_channels_are_adapted_in_one_line() -> None:
    old, new = shaken(TINY), build(replace(with_channels(TINY, 1), classes=3))
    report = load(new, old.state_dict())
    for words in ("50 tensors from residua", "head re-initialised: 5 -> 3", "convolution adapted: 3 -> 1"):
        assert words in report


@pytest.mark.parametrize("container", ["state_dict_ema", "model_ema", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", ""])
def test_every_prefix_comes_off_in_every_container(container: str, prefix: str, tmp_path: Path) -> None:
    old, new = shaken(TINY), build(TINY)
    averaged = {prefix + key: value for key, value in save_as(old, "timm").items()}
    raw = {prefix + key: value for key, value in save_as(build(TINY), "timm").items()}
    content = {"state_dict": raw, "model": raw, container: averaged, "epoch": 3}
    if container == "model":
        del content["state_dict"]
    torch.save(content, tmp_path / "a.pth")
    load(new, tmp_path / "a.pth", source="timm")
    assert equal(old, new)


def test_a_prefix_that_only_some_names_have_stays(tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pth")
    assert set(read_foreign(tmp_path / "a.pth")) == {"module.a", "b"}
