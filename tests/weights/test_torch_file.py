"""Our reader of torch's files gives what torch gives, for files of every age."""

import argparse
import pickle
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from residua.weights.foreign import read_foreign

REAL = sorted(Path(__file__).parents[3].glob("shared/data/weights/*/*.[pt][th]"))
NUMBERS = torch.arange(24.0).reshape(2, 3, 4)
TENSORS = {
    "float": NUMBERS,
    "half": NUMBERS.half(),
    "bfloat16": NUMBERS.bfloat16(),
    "double": NUMBERS.double(),
    "long": NUMBERS.long() - 2**40,
    "int": NUMBERS.int(),
    "short": NUMBERS.short(),
    "char": NUMBERS.char() - 20,
    "byte": NUMBERS.byte(),
    "bool": NUMBERS > 9,
    "none": torch.zeros(0, 3),
    "one": torch.tensor(7.0),
    "transposed": NUMBERS.permute(2, 0, 1),
    "last": NUMBERS[None].contiguous(memory_format=torch.channels_last),
    "slice": NUMBERS[1, 1:],
    "parameter": torch.nn.Parameter(NUMBERS),
}


def assert_same(path: Path, theirs: dict[str, torch.Tensor]) -> None:
    ours = read_foreign(path)
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].stride()) == (tensor.dtype, tensor.stride())
        assert torch.equal(ours[name], tensor)
        assert not ours[name].requires_grad


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old"])
def test_tensors_of_every_kind_are_read_as_torch_reads_them(is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=is_zip)
    assert_same(path, torch.load(path, weights_only=True))
    with path.open("ab") as file:  # memory of its own: a file that changes later changes nothing
        kept = read_foreign(path)
        file.truncate(0)
    assert torch.equal(kept["float"], NUMBERS)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old"])
def test_a_training_state_of_others_is_read(is_zip: bool, tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    network[0].weight.no_decay = True  # saved with its attributes
    momentum = {"momentum_buffer": torch.ones(8, 3, 3, 3)}
    state = {
        "model": network.state_dict(),
        "optimizer": {"state": {0: momentum}, "param_groups": [{"lr": 0.1, "params": [0, 1, 2, 3]}]},
        "lr_scheduler": {"milestones": Counter([3, 5]), "_last_lr": [0.1]},
        "args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), seen={1, 2}, size=torch.Size([3])),
        "best_acc1": np.float64(92.5),
        "type": torch.float16,
    }
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    assert_same(tmp_path / "a.pth", network.state_dict())


STORAGE = b"(U\7storagectorch\nFloatStorage\nU\1xU\3cpuK\1NtQ"
TENSOR = b"ctorch._utils\n_rebuild_tensor\n(" + STORAGE + b"K\0K\1\x85K\1\x85tR"
PARAMETER = b"ctorch.nn.parameter\nParameter\n"
OLD = {
    "dict of Python 2": b"ccollections\nOrderedDict\n]](U\1w" + TENSOR + b"ea\x85R.",
    "parameter": b"}U\1w" + PARAMETER + TENSOR + b"\x85\x81\x88\x89N\x87bs.",
    "parameter that gets its tensor late": b"}U\1w" + PARAMETER + b")\x81(" + TENSOR + b"NN\x88\x89tbs.",
}


@pytest.mark.parametrize("pickled", OLD.values(), ids=OLD)
def test_files_of_the_first_torches_are_read(pickled: bytes, tmp_path: Path) -> None:
    header = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, ["x"])
    magic, version, system, keys = (pickle.dumps(part, 2) for part in header)
    path = tmp_path / "a.pth"
    path.write_bytes(magic + version + system + b"\x80\2" + pickled + keys + struct.pack("<qf", 1, 2.5))
    assert read_foreign(path) == {"w": torch.tensor([2.5])}


@pytest.mark.skipif(not REAL, reason="the real weights are not at hand")
@pytest.mark.parametrize("path", REAL, ids=[path.stem for path in REAL])
def test_real_files_are_read_as_torch_reads_them(path: Path) -> None:
    content = torch.load(path, map_location="cpu", weights_only=True)
    state = content.get("state_dict", content)
    assert_same(path, {name.removeprefix("module."): tensor for name, tensor in state.items()})
