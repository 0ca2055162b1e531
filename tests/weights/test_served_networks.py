"""Networks of torchvision and timm, saved as these libraries do, served under their names, loaded by name."""

import hashlib
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

import residua
from few import few_of
from file_server import FileServer, served
from released import in_catalogue
from residua.weights import catalogue
from residua.weights.catalogue import ReleasedWeights

TORCHVISION = [entry.name for entry in catalogue.entries("*.torchvision.*")]
HUB = {entry.model: entry.name for entry in reversed(catalogue.entries()) if entry.hub}
"""The first row of each network that the hub has."""
SMALL = ["resnet18.torchvision.v1", "resnet18.timm.a1"]
SIZES = {"alexnet": 70, "googlenet": 67}
"""Pixels of an image, where 40 are too few."""


def shake(network: nn.Module) -> nn.Module:
    """Let every norm differ from every other."""
    torch.manual_seed(0)
    for name, value in network.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            value.copy_(torch.rand(value.shape) * 0.2 + (0.9 if name.endswith(("weight", "var")) else -0.1))
    return network.eval()


def theirs(entry: ReleasedWeights) -> nn.Module:
    """The network of the library that published `entry`."""
    if entry.hub:
        name = entry.hub.rpartition("/")[2].partition(".")[0]
        return shake(timm.create_model(name))
    name = {"resnet3d18": "r3d_18"}.get(entry.network, entry.network)
    words = {"init_weights": False, "aux_logits": True} if name == "googlenet" else {}
    return shake(torchvision.models.get_model(name, **words))


def saved(entry: ReleasedWeights, network: nn.Module) -> bytes:
    """A file as the library publishes it."""
    if entry.file.endswith(".safetensors"):
        return safetensors.torch.save(network.state_dict())
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return stream.getvalue()


@contextmanager
def released(
    entry: ReleasedWeights, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> Iterator[tuple[nn.Module, FileServer]]:
    """A mirror with the file of `entry`, and the network in it."""
    network = theirs(entry)
    content = saved(entry, network)
    row = replace(entry, sha256=hashlib.sha256(content).hexdigest())
    in_catalogue(monkeypatch, row)
    place = f"{row.hub}/{row.file}" if row.hub else row.file
    with served(files={f"/{place}": content}) as server:
        monkeypatch.setenv("RESIDUA_WEIGHTS_MIRROR", server.address)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        yield network, server
    shutil.rmtree(folder)  # up to half a GiB


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("name", few_of([*TORCHVISION, *HUB.values()], SMALL))
def test_a_network_by_name_computes_what_the_library_does(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = catalogue.find(name)
    with released(entry, monkeypatch, tmp_path) as (network, server):
        ours = residua.create_model(entry.network, weights=name).eval()
        again = residua.create_model(entry.model, weights=name.partition(".")[2]).eval()
    size = SIZES.get(entry.network, 40)
    images = torch.rand(2, 3, 4, size, size) if "3d" in name else torch.rand(2, 3, size, size)
    with torch.inference_mode():
        logits = network(images)
        assert logits.isfinite().all()
        assert torch.allclose(ours(images), logits, rtol=1e-4, atol=1e-4)
        assert torch.equal(ours(images), again(images))
        assert torch.equal(ours(images), logits) or "preresnet" in name
    assert len(server.requests) == 1
    assert ours.pretrained_from
    assert ours.pretrained_from.name == name
