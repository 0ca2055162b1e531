"""The pickle in a file of `torch.save`, interpreted so that nothing that it names is called.

torch's own weights-only unpickler runs no code of a file, but allocates whatever the file asks for:
`bytearray(2**32)` is a file of 43 bytes. Here a name is a row of a table, and a tensor is a description that
takes memory only when its values are read. What files hold beside weights becomes an inert value.
"""

import math
import pickletools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import torch

LARGEST_KEY = 2**60
"""Whole numbers below it hash differently, so that a dict of them stays fast."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The values that one or several tensors look at."""

    key: str
    """Its name in the file."""
    dtype: torch.dtype
    """Type of its values."""
    numel: int
    """Number of its values."""

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor whose values are not read yet."""

    storage: Storage
    """Where its values are."""
    offset: int
    """Place of the first value there."""
    shape: tuple[int, ...]
    """Its sizes."""
    stride: tuple[int, ...]
    """Values from one place to the next, for each axis."""

    @property
    def nbytes(self) -> int:
        """Bytes that its values take without sharing any."""
        numel: int = math.prod(self.shape)
        return numel * self.storage.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a pickle, and what a call of it gives; it is never imported."""

    text: str
    """Module and name, e.g. `collections OrderedDict`."""


@dataclass(slots=True)
class _Parameter:
    """A parameter; torch before 0.4 gives its tensor only after making it."""

    tensor: Any = None


@dataclass(slots=True)
class _Machine:
    """Stack, marks and memo of a pickle, as `pickletools` describes them."""

    storages: dict[str, Storage]
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    work: int = 0
    """Operations done, and values that calls copied."""

    def step(self, operation: str, argument: Any) -> None:
        """Do one operation."""
        self.work += 1
        if operation in _PUSHING:
            self.stack.append(_PUSHING[operation](argument))
        elif operation in _POPPING:
            count, act = _POPPING[operation]
            act(self, self._pop(len(self.stack) - self.marks.pop() if count is None else count))
        elif operation == "MARK":
            self.marks.append(len(self.stack))
        elif operation in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif operation in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif operation not in ("PROTO", "STOP"):
            raise ValueError(f"its pickle uses {operation}")

    def _pop(self, count: int) -> list[Any]:
        if not 0 <= count <= len(self.stack):
            raise ValueError("its pickle takes more than it gives")
        start = len(self.stack) - count
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def push_tuple(self, items: list[Any]) -> None:
        self.stack.append(tuple(items))

    def extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            _set_items(self.stack[-1], zip(items[::2], items[1::2], strict=True))

    def call(self, items: list[Any]) -> None:
        name, arguments = items
        self.work += sum(len(value) for value in arguments if isinstance(value, list | tuple))
        self.stack.append(_make(name, arguments))

    def build(self, items: list[Any]) -> None:
        (state,) = items
        if isinstance(self.stack[-1], _Parameter) and len(state) == 5:
            self.stack[-1].tensor = state[0]

    def refer(self, items: list[Any]) -> None:
        """To a storage: ("storage", type, key, device, number of values)."""
        _, kind, key, _, numel, *view = items[0]
        storage = Storage(str(key), _DTYPES[kind.text], numel)
        known = self.storages.setdefault(storage.key, storage)
        if numel < 0 or known != storage or any(each is not None for each in view):
            raise ValueError(f"it describes its storage {storage.key!r} in two ways")
        self.stack.append(known)


def interpret(stream: BinaryIO, operations: int, storages: dict[str, Storage]) -> Any:
    """The content of one pickle.

    Args:
        stream: At the beginning of the pickle; it stands behind it afterwards.
        operations: Most operations to do; an operation makes at most 130 bytes of objects.
        storages: Filled with the storages that tensors look at, by key.

    Returns:
        Dicts, lists, tuples, texts, numbers and `StoredTensor`s, and a `Name` for everything else.

    Raises:
        Exception: Of any type, when it is no pickle, is longer, or names what no file of weights needs.
    """
    machine = _Machine(storages)
    for operation, argument, _ in pickletools.genops(stream):
        machine.step(operation.name, argument)
        if machine.work > operations:
            raise ValueError("its pickle is longer than weights need")
    return machine.stack.pop()


def _name(text: str) -> Name:
    if text not in _MAKERS and text not in _DTYPES and text not in _INERT:
        raise ValueError(f"it names {text.replace(' ', '.')!r}, which weights do not need")
    return Name(text)


def _make(name: Name, arguments: tuple[Any, ...]) -> Any:
    """What a call of `name` gives: a row of `_MAKERS`, else the name itself."""
    maker = _MAKERS.get(name.text)
    return maker(*arguments) if maker else name


def _set_items(target: dict[Any, Any], items: Iterable[tuple[Any, Any]]) -> None:
    for key, value in items:  # hashing a deep tuple would crash
        if not isinstance(key, str) and not (isinstance(key, int) and abs(key) < LARGEST_KEY):
            raise ValueError("a key of it is neither text nor a small number")
        target[key] = value.tensor if isinstance(value, _Parameter) else value


def _dict(items: list[tuple[Any, Any]] | tuple[()] = ()) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    _set_items(result, items)
    return result


def _tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> StoredTensor:
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if min((offset, *shape, *stride)) < 0 or (0 not in shape and last >= storage.numel):
        raise ValueError(f"a tensor reaches beyond its storage {storage.key!r}")
    return StoredTensor(storage, offset, shape, stride)


_LITERALS = (
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINSTRING",
    "BINSTRING",
)
_PUSHING: Mapping[str, Callable[[Any], Any]] = {
    **{literal: lambda argument: argument for literal in _LITERALS},
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "GLOBAL": lambda argument: _name(argument),
}
"""Operation -> what it pushes."""
_POPPING: Mapping[str, tuple[int | None, Callable[[_Machine, list[Any]], None]]] = {
    "TUPLE1": (1, _Machine.push_tuple),
    "TUPLE2": (2, _Machine.push_tuple),
    "TUPLE3": (3, _Machine.push_tuple),
    "TUPLE": (None, _Machine.push_tuple),
    "APPEND": (1, _Machine.extend),
    "APPENDS": (None, _Machine.extend),
    "SETITEM": (2, _Machine.set_items),
    "SETITEMS": (None, _Machine.set_items),
    "REDUCE": (2, _Machine.call),
    "NEWOBJ": (2, _Machine.call),
    "BUILD": (1, _Machine.build),
    "BINPERSID": (1, _Machine.refer),
}
"""Operation -> how many values it takes from the stack, None for all up to the mark, and what it does."""
_TYPES = {
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Double": torch.float64,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_DTYPES = {
    f"{room} {kind}Storage": dtype for kind, dtype in _TYPES.items() for room in ("torch", "torch.cuda")
}
_MAKERS: Mapping[str, Callable[..., Any]] = {
    "collections OrderedDict": _dict,
    "torch Size": tuple,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": lambda tensor, *_: tensor,
    "torch._utils _rebuild_parameter_with_state": lambda tensor, *_: tensor,
    "torch._tensor _rebuild_from_type_v2": lambda name, _, arguments, __: _make(name, arguments),
    "torch.nn.parameter Parameter": lambda tensor=None, *_: _Parameter(tensor),
}
_INERT = frozenset(
    {
        "argparse Namespace",
        "collections Counter",
        "collections defaultdict",
        "builtins set",
        "__builtin__ set",
        "numpy dtype",
        "numpy.core.multiarray scalar",
        "numpy._core.multiarray scalar",
        "_codecs encode",
        "torch Tensor",
        "torch device",
        *(str(dtype).replace(".", " ") for dtype in _TYPES.values()),
    }
)
"""What files hold beside weights: options, schedules and the best score of a training."""
