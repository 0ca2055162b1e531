"""What survives on disk: complete, self-certifying, the newest two."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from residua.errors import CheckpointError, NonFiniteError
from residua.nn.device import place_network
from residua.nn.network import Network, build
from residua.runs.checkpoint import KEEP, Progress, list_checkpoints, load_newest, load_weights, restore, save
from residua.spec.recipe import Optim, Plan
from residua.training import optim
from residua.weights.store import publish
from small import PLAN, arch, flip, recipe


def pair(plan: Plan = PLAN, how: Optim | None = None, *, seed: int = 0) -> tuple[Network, torch.optim.SGD]:
    torch.manual_seed(seed)
    network = place_network(build(arch()), plan)
    network.class_names = ("blue", "green", "red")
    return network, optim.make_optimizer(network, how or recipe().optim)


def step(network: Network, optimizer: torch.optim.SGD, *, seed: int) -> None:
    torch.manual_seed(seed)
    optimizer.zero_grad()
    network.train()(torch.randn(4, 3, 12, 12)).square().sum().backward()
    optimizer.step()


def saved(folder: Path, *steps: int) -> list[Path]:
    network, optimizer = pair()
    paths = []
    for number in steps:
        step(network, optimizer, seed=number)
        paths.append(save(folder, network, optimizer, Progress(number, 0.5 * number, number, 2 * number)))
    return paths


@pytest.mark.parametrize("form", ["contiguous", "channels_last"])
def test_a_restored_pair_goes_on_bit_for_bit_as_the_saved_one(tmp_path: Path, form: str) -> None:
    plan = replace(PLAN, memory_format=form)
    network, optimizer = pair(plan)
    for seed in range(3):
        step(network, optimizer, seed=seed)
    save(tmp_path, network, optimizer, Progress(3, 1.25, 4, 12))
    copied, other = pair(plan, seed=99)
    state = load_newest(tmp_path)
    assert state is not None
    assert restore(state, copied, other) == Progress(3, 1.25, 4, 12)
    for weight, again in zip(network.parameters(), copied.parameters(), strict=True):
        mine, theirs = optimizer.state[weight]["momentum_buffer"], other.state[again]["momentum_buffer"]
        assert torch.equal(mine, theirs)
        assert mine.stride() == theirs.stride()
    for seed in range(3, 6):
        step(network, optimizer, seed=seed)
        step(copied, other, seed=seed)
    for (name, value), copy in zip(network.state_dict().items(), copied.state_dict().values(), strict=True):
        assert torch.equal(value, copy), name
        assert value.stride() == copy.stride(), name


def test_a_run_without_momentum_comes_back_too(tmp_path: Path) -> None:
    network, optimizer = pair(how=Optim(momentum=0.0))
    step(network, optimizer, seed=1)
    save(tmp_path, network, optimizer, Progress(1))
    copied, other = pair(how=Optim(momentum=0.0), seed=99)
    state = load_newest(tmp_path)
    assert state is not None
    restore(state, copied, other)
    step(network, optimizer, seed=2)
    step(copied, other, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), copied.parameters(), strict=True))


def test_an_untouched_folder_has_no_state(tmp_path: Path) -> None:
    assert load_newest(tmp_path) is None


def test_only_the_newest_two_states_are_kept_by_step_and_not_by_clock(tmp_path: Path) -> None:
    paths = saved(tmp_path, 9, 10, 100, 1000)
    assert list_checkpoints(tmp_path) == [paths[3], paths[2]]
    assert KEEP == 2
    state = load_newest(tmp_path)
    assert state is not None
    assert state.path == paths[3]
    assert state.damaged == ()


def test_the_clock_decides_nothing(tmp_path: Path) -> None:
    older, newer = saved(tmp_path, 999_999_999, 1_000_000_000)  # of 9 and of 10 digits
    for path, seconds in ((older, 2_000_000_000), (newer, 0)):
        os.utime(path, (seconds, seconds))
    (tmp_path / "state-x.safetensors").touch()
    (tmp_path / "state-000000001.safetensors.bak").touch()
    assert list_checkpoints(tmp_path) == [newer, older]
    state = load_newest(tmp_path)
    assert state is not None
    assert state.path == newer
    (newest,) = saved(tmp_path, 1_000_000_001)
    assert list_checkpoints(tmp_path) == [newest, newer]


def test_a_flipped_byte_makes_the_older_state_the_newest_and_is_named(tmp_path: Path) -> None:
    older, damaged = saved(tmp_path, 1, 2)
    flip(damaged)
    state = load_newest(tmp_path)
    assert state is not None
    assert state.path == older
    assert len(state.damaged) == 1
    assert str(damaged) in state.damaged[0]


def test_when_every_state_is_damaged_one_line_names_the_folder_and_a_file(tmp_path: Path) -> None:
    for path in saved(tmp_path, 1, 2):
        flip(path)
    with pytest.raises(CheckpointError, match=r"no state in .* can be used: .*state-000000002"):
        load_newest(tmp_path)


def test_a_damaged_newer_state_does_not_push_out_a_good_one(tmp_path: Path) -> None:
    first, damaged = saved(tmp_path, 10, 20)
    flip(damaged)
    (second,) = saved(tmp_path, 11)
    good = [path for path in list_checkpoints(tmp_path) if path != damaged]
    assert good == [second, first]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["head.linear1.weight", "stem.norm1.running_var"])
def test_a_state_that_is_not_finite_is_never_written(tmp_path: Path, value: float, name: str) -> None:
    network, optimizer = pair()
    step(network, optimizer, seed=1)
    save(tmp_path, network, optimizer, Progress(1))
    network.state_dict()[name].view(-1)[-1] = value
    with pytest.raises(NonFiniteError, match=f"{name} .* step 2"):
        save(tmp_path, network, optimizer, Progress(2))
    assert [path.name for path in list_checkpoints(tmp_path)] == ["state-000000001.safetensors"]


def test_reading_the_newest_state_leaves_a_living_writer_alone(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    writing = tmp_path / ".state-000000002.safetensors.4242.tmp"
    writing.write_bytes(b"half")
    load_newest(tmp_path)
    assert writing.exists()


def test_the_network_of_a_state_says_the_same_and_knows_its_classes(tmp_path: Path) -> None:
    network, optimizer = pair()
    step(network, optimizer, seed=1)
    path = save(tmp_path, network, optimizer, Progress(1))
    result = load_weights(path, "auto")[0]
    images = torch.randn(2, 3, 12, 12)
    assert not result.training
    assert result.class_names == ("blue", "green", "red")
    with torch.inference_mode():
        assert torch.equal(result(images), network.eval()(images))


def test_a_file_of_ours_without_a_network_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "other.safetensors", {"a": torch.zeros(2)}, {"kind": "something else"})
    with pytest.raises(CheckpointError, match="holds no network"):
        load_weights(tmp_path / "other.safetensors", "auto")


def test_the_state_of_another_network_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    state = load_newest(tmp_path)
    assert state is not None
    other = build(replace(arch(), classes=5))
    with pytest.raises(CheckpointError, match=r"another network: .*head"):
        restore(state, other, optim.make_optimizer(other, recipe().optim))


def test_the_state_of_another_optimiser_is_refused(tmp_path: Path) -> None:
    network, optimizer = pair()
    save(tmp_path, network, optimizer, Progress(1))
    state = load_newest(tmp_path)
    assert state
    other = optim.make_optimizer(network, Optim(kind="adamw"))
    with pytest.raises(CheckpointError, match=r"SGD.*AdamW.*optim\.kind"):
        restore(state, network, other)
