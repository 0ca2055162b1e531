"""Segments that are computed twice: the same bits in every arithmetic, and less memory."""

import copy
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from residua.nn import malloc, memory
from residua.nn.network import Network, build
from residua.spec.arch import Arch, Head
from residua.spec.block import Block, Conv
from residua.spec.change import deepen
from residua.spec.memory import Unit, list_units
from residua.spec.preprocess import Preprocess
from residua.spec.zoo import arch

DEEP = deepen(arch("cifar_iresnet164"), (3, 3, 3))
PIXELS = Preprocess(16, 16, (0.5,) * 3, (0.25,) * 3)


def dropping() -> Arch:
    """Dropout inside blocks and in the head, a pool in the stem, option A, a tail."""
    block = Block("(NAC D NAC)", (Conv(6), Conv(6)), "Z", drop=0.3)
    down = Block("NA(C NAC)", (Conv(8, 3, 2), Conv(8)), "Z")
    stem = Block("CNAP", (Conv(6, 5),))
    return Arch("x", "f", "s", stem, ((block, block), (down,)), "NA", Head("DL"), 4, PIXELS)


def step(network: Network, kind: str, *, inside: bool = False) -> list[Tensor]:
    """Logits, gradients and buffers after two training steps."""
    form = torch.channels_last if "channels_last" in kind else torch.contiguous_format
    outputs = []
    network = network.to(memory_format=form).train()
    for seed in range(2):
        torch.manual_seed(seed)
        size = network.preprocess.size
        x = torch.randn(6, 3, size, size).contiguous(memory_format=form)
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in kind):
            logits = network(x)
            loss = cross_entropy(logits.float(), torch.arange(6) % 4)
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        outputs.append(logits.detach())
    grads = [p.grad for p in network.parameters()]
    assert all(grad is not None for grad in grads)
    return outputs + [grad for grad in grads if grad is not None] + list(network.buffers())


def equal(these: list[Tensor], those: list[Tensor]) -> bool:
    return len(these) == len(those) and all(torch.equal(a, b) for a, b in zip(these, those, strict=True))


@pytest.mark.parametrize("kind", ["float32", "float32 channels_last", "bfloat16 channels_last"])
@pytest.mark.parametrize("segments", [((0, 1), (1, 2)), ((0, 3),), ((0, 2), (2, 5)), ((2, 4),)])
def test_segments_change_no_bit_of_gradients_dropout_and_running_statistics(
    kind: str, segments: memory.Segments
) -> None:
    network = build(dropping())
    cut = copy.deepcopy(network)
    cut.segments = segments
    assert equal(step(network, kind), step(cut, kind))


@pytest.mark.parametrize("inside", [False, True])
def test_backward_inside_and_outside_autocast_agree(inside: bool) -> None:
    network = build(DEEP)
    cut = copy.deepcopy(network)
    cut.segments = ((0, 4), (4, 7))
    assert equal(step(network, "bfloat16", inside=inside), step(cut, "bfloat16", inside=inside))


def test_every_segment_runs_twice_and_no_other_unit() -> None:
    network, runs = build(DEEP), [0] * 10
    for number, unit in enumerate(network.units()):
        unit.register_forward_hook(lambda *_, number=number: runs.__setitem__(number, runs[number] + 1))
    network.segments = ((0, 2), (3, 6))
    step(network, "float32")
    assert runs == [4, 4, 2, 4, 4, 4, 2, 2, 2, 2]


def test_maps_on_the_way_come_out_of_segments() -> None:
    network, x = build(DEEP).eval(), torch.randn(2, 3, 32, 32)
    plain = network.forward_intermediates(x, intermediates_only=True)
    network.segments = ((0, 5), (5, 9))
    cut = network.forward_intermediates(x, intermediates_only=True)
    assert equal([*plain], [*cut])
    sum(each.sum() for each in cut).backward()
    assert all(p.grad is not None for p in network.stages.parameters())


def test_nothing_runs_twice_without_gradients() -> None:
    network, x = build(DEEP).eval(), torch.randn(2, 3, 16, 16)
    plain = network(x)
    network.segments = ((0, 5),)
    with torch.no_grad():
        assert torch.equal(network(x), plain)


def test_frozen_units_need_no_second_pass() -> None:
    network, runs = build(DEEP), list[int]()
    for unit in network.units()[:4]:
        unit.requires_grad_(False)
    network.units()[1].register_forward_hook(lambda *_: runs.append(1))
    network.segments = ((0, 4), (4, 8))
    network(torch.randn(4, 3, 16, 16)).sum().backward()
    assert len(runs) == 1
    assert all((p.grad is None) != p.requires_grad for p in network.parameters())


def test_frozen_norms_stay_frozen() -> None:
    network = build(DEEP).train()
    norm = network.stages[0][1].residual.norm1  # type: ignore[union-attr, index]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.eval()
    before = norm.running_mean.clone()  # type: ignore[union-attr]
    network.segments = ((0, 5),)
    network(torch.randn(4, 3, 16, 16)).sum().backward()
    assert torch.equal(norm.running_mean, before)  # type: ignore[arg-type]
    assert norm.track_running_stats


class SavedMaps:
    """Bytes of maps that autograd saves, each storage once, without weights and statistics."""

    def __init__(self, network: Network) -> None:
        known = [*network.parameters(), *network.buffers()]
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.weights = {weight.shape for weight in network.parameters()}
        self.storages: dict[int, torch.UntypedStorage] = {}

    def hooks(self) -> AbstractContextManager[None]:
        return torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)  # type: ignore

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.known and tensor.ndim in (4, 5):
            if tensor.shape in self.weights:  # cast to bfloat16
                return tensor
            self.storages[storage.data_ptr()] = storage
        return tensor

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


def inside(every: list[Unit]) -> int:
    return sum(unit.inner + unit.reads * unit.keeps_read for unit in every)


@pytest.mark.parametrize(
    "name",
    [
        "cifar_resnet20",
        "cifar_iresnet164",
        "cifar_preresnet110",
        "resnet18",
        "iresnet50",
        "resgroup50",
        "resnet3d18",
        "iresnet3d50",
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_memory_model_predicts_what_autograd_saves(name: str, precision: str) -> None:
    """To a hundredth, against torch's own account of the tensors it saves."""
    spec = deepen(arch(name), tuple(min(2, len(stage)) for stage in arch(name).stages))
    spec = replace(spec, clip=replace(spec.clip, frames=4)) if spec.clip else spec
    network, size = build(spec).train(), 32
    saved = SavedMaps(network)
    with saved.hooks(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        network(torch.randn(3, *spec.input_shape[:-2], size, size))
    predicted = inside(list_units(spec, batch=3, precision=precision, size=size))  # type: ignore[arg-type]
    assert saved.bytes == pytest.approx(predicted, rel=0.01)


def test_segments_keep_only_what_they_read() -> None:
    network = build(DEEP).train()
    network.segments = ((1, 4), (4, 7))
    saved = SavedMaps(network)
    with saved.hooks():
        network(torch.randn(3, 3, 32, 32))
    every = list_units(DEEP, batch=3)
    expected = inside(every[:1] + every[7:]) + every[1].reads + every[4].reads
    assert saved.bytes == pytest.approx(expected, rel=0.02)


def test_free_memory_goes_back_only_above_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[int] = []
    monkeypatch.setattr(malloc, "_malloc_trim", lambda: trims.append)
    malloc.release_free_memory(malloc.resident_bytes() * 2)
    assert trims == []
    malloc.release_free_memory(1)
    malloc.release_free_memory()
    assert trims == [0, 0]


def test_resident_is_what_a_large_tensor_adds() -> None:
    malloc.release_free_memory()
    before = malloc.resident_bytes()
    tensor = torch.ones(64 << 18)  # 64 MiB
    assert 60 << 20 < malloc.resident_bytes() - before < 80 << 20
    assert malloc.peak_bytes() >= malloc.resident_bytes() - (1 << 20)
    del tensor
