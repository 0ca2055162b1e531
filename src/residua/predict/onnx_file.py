"""What an ONNX file says of itself, read before any runtime sees it; neither onnx nor a runtime is needed.

An ONNX file is a message of Protocol Buffers: fields with a number, a kind and a value. The few that matter
here are read, the weights are skipped where they lie. Refused are files that could do more than compute:
those that read other files, that have operators which ONNX does not define, or loops. Sparse tensors and
steps of training are refused whatever they hold: no export has them, and each holds further tensors.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from residua.errors import CheckpointError
from residua.predict.export.facts import KEY, ExportFacts

_GRAPH, _METADATA, _TRAINING, _FUNCTIONS = 7, 14, 20, 25  # of a model
_NODES, _INITIALIZERS, _SPARSE_INITIALIZERS = 1, 5, 15  # of a graph
_ATTRIBUTES, _DOMAIN = 5, 7  # of a node
_TENSORS, _SUBGRAPHS, _SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)  # of an attribute: one, and several
_EXTERNAL_DATA, _LOCATION = 13, 14  # of a tensor: where in another file; 0 in this file, 1 in another one
_DOMAINS = ("", "ai.onnx")
_OURS = "give a file that `residua export` wrote"
_LENGTHS = {1: 8, 5: 4}
"""Bytes of a value of a fixed size, by its kind."""

Field = tuple[int, int | memoryview]
"""Number and value: a whole number, or bytes."""


def read_onnx_facts(path: Path) -> ExportFacts:
    """What the ONNX file at `path` says of itself.

    Raises:
        CheckpointError: It is no ONNX file, has no facts, reads other files, or has operators of its own.
        OSError: It cannot be read.
    """
    if not path.stat().st_size:
        raise CheckpointError(f"{path} is empty: export it again")
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # closed with the last view of it
    try:
        text = _check(memoryview(content), path)
    except CheckpointError:
        raise
    except (ValueError, IndexError, TypeError, KeyError):
        raise CheckpointError(f"{path} is no ONNX file: export it again") from None
    if text is None:
        raise CheckpointError(f"{path} says nothing of its classes and preprocessing: {_OURS}")
    return ExportFacts.from_text(text, path=path)


def _check(model: memoryview, path: Path) -> str | None:
    """The text of the facts in a model, None without; CheckpointError for what must not be computed."""
    text = None
    for number, value in _fields(model):
        if number == _METADATA:
            entry = dict(_fields(_message(value)))
            if bytes(_message(entry[1])) == KEY.encode():
                text = str(_message(entry[2]), "utf-8")
        elif number == _FUNCTIONS:
            raise CheckpointError(f"{path} has functions of its own: {_OURS}")
        elif number == _TRAINING:
            raise CheckpointError(f"{path} has steps of training: {_OURS}")
        elif number == _GRAPH:
            _check_graph(_message(value), path)
    return text


def _check_graph(graph: memoryview, path: Path) -> None:
    """CheckpointError unless the nodes and weights of a graph only compute."""
    for number, value in _fields(graph):
        if number == _NODES:
            _check_node(_message(value), path)
        elif number == _INITIALIZERS:
            _check_tensor(_message(value), path)
        elif number == _SPARSE_INITIALIZERS:
            raise CheckpointError(f"{path} has sparse weights: {_OURS}")


def _check_node(node: memoryview, path: Path) -> None:
    """CheckpointError unless a node is an operator of ONNX, without a graph of its own."""
    for number, value in _fields(node):
        if number == _DOMAIN and (domain := str(_message(value), "utf-8")) not in _DOMAINS:
            raise CheckpointError(f"{path} has operators of {domain!r}, not of ONNX: export it again")
        if number == _ATTRIBUTES:
            for part, content in _fields(_message(value)):
                if part in _SUBGRAPHS:
                    raise CheckpointError(f"{path} has loops or branches: {_OURS}")
                if part in _SPARSE_TENSORS:
                    raise CheckpointError(f"{path} has sparse weights: {_OURS}")
                if part in _TENSORS:
                    _check_tensor(_message(content), path)


def _check_tensor(tensor: memoryview, path: Path) -> None:
    """CheckpointError when the values of a tensor are in another file."""
    if any(number == _EXTERNAL_DATA or (number == _LOCATION and value) for number, value in _fields(tensor)):
        raise CheckpointError(f"{path} keeps its weights in another file: export it again, into one file")


def _message(value: int | memoryview) -> memoryview:
    """`value` as the bytes of a message. TypeError for a number."""
    if isinstance(value, int):
        raise TypeError("a number instead of a message")
    return value


def _fields(message: memoryview) -> Iterator[Field]:
    """Number and value of each field. ValueError or IndexError where the bytes are no message."""
    place = 0
    while place < len(message):
        key, place = _whole_number(message, place)
        if key >= 1 << 32:  # runtimes drop the bits above 32: they would see another field than this reader
            raise ValueError("a field with a number beyond 29 bits")
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _whole_number(message, place)
            yield number, value
            continue
        if kind == 2:
            length, place = _whole_number(message, place)
        else:
            length = _LENGTHS.get(kind, -1)
        if not 0 <= length <= len(message) - place:
            raise ValueError("a field that ends behind its message")
        yield number, message[place : place + length]
        place += length


def _whole_number(message: memoryview, place: int) -> tuple[int, int]:
    """The number at `place`, seven bits a byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise ValueError("a number of more than ten bytes")
