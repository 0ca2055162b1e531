"""Files of others: their containers are opened, their code never runs, their lies are refused."""

import argparse
import io
import os
import pickle
import random
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from residua.errors import CheckpointError
from residua.weights.foreign import read_foreign

STATE = {"conv1.weight": torch.arange(6.0), "fc.bias": torch.tensor(2)}


def same(state: dict[str, torch.Tensor]) -> bool:
    return state.keys() == STATE.keys() and all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OrderedDict(STATE),
        {"state_dict": STATE, "epoch": 3, "arch": "resnet20", "best_prec1": 92.5},
        {"model": STATE, "optimizer": {"lr": 0.1}},
        {"model": {}, "model_ema": STATE},
        {"state_dict": {}, "state_dict_ema": STATE},
        {"state_dict": {"model": STATE}},
        {"state_dict": STATE, "args": argparse.Namespace(lr=0.1, model="resnet18")},
        {f"module.{key}": value for key, value in STATE.items()},
        {f"_orig_mod.{key}": value for key, value in STATE.items()},
        {"model": {f"module._orig_mod.{key}": value for key, value in STATE.items()}},
        {"model_ema": {"n_averaged": torch.tensor(9), **{f"module.{k}": v for k, v in STATE.items()}}},
        {key: torch.nn.Parameter(value.float()) for key, value in STATE.items()},
    ],
    ids=range(13),
)
def test_containers_and_wrappers_are_taken_off(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "a.pth")
    state = read_foreign(tmp_path / "a.pth")
    assert same(state)
    assert not any(value.requires_grad for value in state.values())


def test_safetensors_and_old_torch_files_are_read(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "a.safetensors", {"format": "pt"})
    torch.save(STATE, tmp_path / "a.tar", _use_new_zipfile_serialization=False)
    assert same(read_foreign(tmp_path / "a.safetensors"))
    assert same(read_foreign(tmp_path / "a.tar"))


class Payload:
    """Makes the folder `marker` when a pickle that holds it is executed."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def write_hostile(folder: Path, marker: Path) -> list[Path]:
    paths = [folder / name for name in ("zip.pth", "old.pth", "raw.pth", "inside.pth", "named.safetensors")]
    torch.save(Payload(marker), paths[0])
    torch.save({"a": Payload(marker)}, paths[1], _use_new_zipfile_serialization=False)
    paths[2].write_bytes(pickle.dumps(Payload(marker)))
    torch.save({"state_dict": {**STATE, "x": Payload(marker)}}, paths[3])
    paths[4].write_bytes(pickle.dumps(Payload(marker)))
    return paths


def test_hostile_files_would_run_if_they_were_loaded_carelessly(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    torch.load(write_hostile(tmp_path, marker)[0], weights_only=False)
    assert marker.exists()


def test_hostile_files_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for path in write_hostile(tmp_path, marker):
        with pytest.raises(CheckpointError, match="no file of weights"):
            read_foreign(path)
    assert not marker.exists()


def test_hostile_files_run_nothing_when_the_environment_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    paths = write_hostile(tmp_path, marker)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    for path in paths:
        with pytest.raises(CheckpointError, match="no file of weights"):
            read_foreign(path)
    assert not marker.exists()
    torch.load(paths[0])
    assert marker.exists(), "the environment variable does nothing here, so this test shows nothing"


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(2**20, 2**20)}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 5000
    with pytest.raises(CheckpointError, match="more numbers for 'a'"):
        read_foreign(tmp_path / "a.pth")


def test_a_tensor_without_numbers_of_its_own_is_refused(tmp_path: Path) -> None:
    tensors = {"meta_tensor": torch.empty(2**40, device="meta"), "sparse_tensor": torch.eye(3).to_sparse()}
    for name, tensor in tensors.items():
        torch.save({"a": tensor}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match=name):
            read_foreign(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (3, "holds 'int'"),
        ([torch.zeros(1)], "holds 'list'"),
        ({}, "no weights"),
        ({"a": "text"}, "'a'.*no tensor"),
        ({"epoch": 3}, "'epoch'.*no tensor"),
        ({3: torch.zeros(1)}, "holds 3,.*no tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object, words: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=words):
        read_foreign(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>", b"root:x:0:0", b"\xff\xd8\xff\xe0", b""])
def test_a_file_of_another_kind_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    """An error page that was saved as weights raised the IndexError of a pickle's stack."""
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="does not begin"):
        read_foreign(tmp_path / "a.pth")


def test_a_dict_that_holds_itself_is_refused(tmp_path: Path) -> None:
    loop: dict[str, Any] = {}
    loop["model"] = loop
    torch.save(loop, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"'model'.*no tensor"):
        read_foreign(tmp_path / "a.pth")


def test_a_very_deep_dict_is_refused(tmp_path: Path) -> None:
    path, depth = tmp_path / "a.pth", 100_000
    deep = b"\x80\x02" + b"}U\x01a" * depth + b"}" + b"s" * depth + b"."
    torch.save({}, path)
    with zipfile.ZipFile(path) as honest, zipfile.ZipFile(tmp_path / "deep.pth", "w") as hostile:
        for record in honest.infolist():
            name = record.filename
            hostile.writestr(name, deep if name.endswith("data.pkl") else honest.read(record))
    with pytest.raises(CheckpointError):
        read_foreign(tmp_path / "deep.pth")


def test_another_zip_file_is_refused_in_words(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("weight.npy", b"numbers")
    with pytest.raises(CheckpointError, match=r"a\.npz.*not one of torch\.save"):
        read_foreign(tmp_path / "a.npz")


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    buffer, path = io.BytesIO(), tmp_path / "a.pth"
    torch.save({"a": torch.zeros(2**18)}, buffer)
    with zipfile.ZipFile(buffer) as honest, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for record in honest.infolist():
            bomb.writestr(record.filename, honest.read(record))
    assert path.stat().st_size < 20_000
    with pytest.raises(CheckpointError, match="more than the file"):
        read_foreign(path)


def test_a_flipped_bit_in_a_torch_file_is_found_by_its_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.full((64,), 1.0)}, path)
    raw = bytearray(path.read_bytes())
    raw[raw.find(b"\x00\x00\x80\x3f" * 16) + 30] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="damaged"):
        read_foreign(path)


def test_a_record_that_is_called_a_folder_is_read_as_the_file_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(STATE, path)
    raw = bytearray(path.read_bytes())
    record = raw.rindex(b"a/data/0") - 46  # in the directory
    raw[record + 38] ^= 0x10
    path.write_bytes(raw)
    assert same(read_foreign(path))  # torch returns uninitialised memory


def parts_of(path: Path) -> dict[str, set[int]]:
    """Where in a torch file each kind of its bytes stands."""
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    directory, end = raw.index(b"PK\1\2"), raw.rindex(b"PK\5\6")
    parts: dict[str, set[int]] = {name: set() for name in ("headers", "pickle", "small records", "tensors")}
    for record in records:
        at = record.header_offset
        name, extra = (int.from_bytes(raw[at + place : at + place + 2], "little") for place in (26, 28))
        body = at + 30 + name + extra
        parts["headers"] |= {*range(at, at + 30 + name)}
        is_tensor = "/data/" in record.filename
        kind = "pickle" if record.filename.endswith(".pkl") else "tensors" if is_tensor else "small records"
        parts[kind] |= {*range(body, body + record.compress_size)}
    parts |= {"directory": {*range(directory, end)}, "end": {*range(end, len(raw))}}
    return {**parts, "padding": {*range(len(raw))} - set().union(*parts.values())}


@pytest.mark.parametrize("flips", [25, pytest.param(1000, marks=pytest.mark.battery)])
def test_a_flipped_bit_of_a_torch_file_is_refused_or_changes_no_number(flips: int, tmp_path: Path) -> None:
    path, chance = tmp_path / "a.pth", random.Random(flips)
    state = {"conv1.weight": torch.arange(200.0), "fc.bias": torch.arange(40)}
    torch.save(state, path)
    raw, refused = path.read_bytes(), Counter[str]()
    for part, places in parts_of(path).items():
        bits = [8 * place + bit for place in sorted(places) for bit in range(8)]
        picked = chance.sample(bits, min(flips, len(bits)))
        for at in picked:
            damaged = bytearray(raw)
            damaged[at // 8] ^= 1 << at % 8
            path.write_bytes(damaged)
            try:
                loaded = read_foreign(path)
            except CheckpointError:
                refused[part] += 1
            else:
                assert loaded.keys() == state.keys(), f"bit {at}, of the {part}"
                assert all(torch.equal(loaded[key], state[key]) for key in state), f"bit {at}, of the {part}"
        assert refused[part] == len(picked) or part in ("headers", "directory", "end", "padding")


def test_every_truncation_of_a_torch_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(STATE, path)
    raw = path.read_bytes()
    for length in (*range(0, len(raw), max(1, len(raw) // 64)), *(len(raw) - n for n in (1, 2, 4, 16, 64))):
        path.write_bytes(raw[:length])
        with pytest.raises(CheckpointError):
            read_foreign(path)
