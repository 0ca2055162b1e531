"""Files of weights that others wrote: nothing in them runs, and reading one takes at most twice its size and
64 MiB.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import safetensors.torch
from torch import Tensor

from residua.errors import CheckpointError
from residua.weights.store import check_header, first_line, open_file, regular_size
from residua.weights.torch_file import describe
from residua.weights.torch_pickle import StoredTensor

CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which others store the weights; averaged ones first, which were evaluated (timm's order)."""
WRAPPERS = ("module.", "_orig_mod.")
"""What data-parallel training and torch.compile put before every name."""
NAME_LENGTH = 100
"""Most characters of a name in a message."""

Kind = TypeVar("Kind")


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The weights in a `.safetensors` or torch file of others, under their names; nothing in it is executed.

    Opens the containers `state_dict_ema`, `model_ema`, `state_dict` and `model`, in this order of preference,
    and removes `module.` and `_orig_mod.` where every name has them. Other tensors are not read.

    Raises:
        CheckpointError: The file cannot be read, or holds anything but tensors with all their numbers.
    """
    size = regular_size(path)
    with open_file(path) as file:
        try:
            read = _read_safetensors if path.suffix == ".safetensors" else _read_torch
            return _without_wrappers(read(path, file, size))
        except (CheckpointError, MemoryError):
            raise
        except Exception as error:  # truncation alone raises ten types
            raise CheckpointError(f"{path} is no file of weights alone: {first_line(error)}") from None


def _read_safetensors(path: Path, file: BinaryIO, size: int) -> dict[str, Tensor]:
    check_header(path, file, size)
    state = safetensors.torch.load(file.read())
    return dict(_weights(path, state, Tensor))


def _read_torch(path: Path, file: BinaryIO, size: int) -> dict[str, Tensor]:
    content, read_storage = describe(file, size)
    stored = dict(_weights(path, content, StoredTensor))
    room = size
    for name, tensor in stored.items():
        room -= tensor.nbytes
        if room < 0:
            raise CheckpointError(
                f"{path} claims more numbers for {_short(name)} than it holds: do not trust it"
            )
    values = {storage: read_storage(storage) for storage in {each.storage for each in stored.values()}}
    return {
        name: values[each.storage].as_strided(each.shape, each.stride, each.offset)
        for name, each in stored.items()
    }


def _weights(path: Path, content: Any, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    """The weights in `content` by name, each of which is a `kind`."""
    if not isinstance(content, Mapping):
        kind_name = type(content).__name__
        raise CheckpointError(f"{path} holds {kind_name!r}, no weights by name: give a state dict")
    for _ in CONTAINERS:  # containers nest no deeper, but a hostile dict may contain itself
        content = next((content[key] for key in CONTAINERS if isinstance(content.get(key), Mapping)), content)
    if not content:
        raise CheckpointError(f"{path} holds no weights: give another file")
    for name, value in content.items():
        if name == "n_averaged":  # AveragedModel's counter
            continue
        if not isinstance(name, str) or not isinstance(value, kind):
            raise CheckpointError(
                f"{path} holds {_short(name)}, which is no tensor: give a file of weights alone"
            )
        yield name, value


def _short(name: object) -> str:
    """A name in a message: one of a stranger may have millions of characters."""
    return repr(name) if len(repr(name)) <= NAME_LENGTH else f"{repr(name)[:NAME_LENGTH]}..."


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            return _without_wrappers({name.removeprefix(wrapper): value for name, value in state.items()})
    return state
