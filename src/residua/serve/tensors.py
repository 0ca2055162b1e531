"""Tensors of the Open Inference Protocol, version 2: requests and responses in JSON and in binary form.

    image    BYTES [n]              encoded images; in JSON their base64, in binary form after their length
    pixels   UINT8 [n, H, W, C]     images of any size, which are resized and cropped like files
    inputs   FP32  [n, C, S, S]     normalised inputs of a network for images, as `Preprocess` says

In binary form the JSON comes first, as long as the header Inference-Header-Content-Length says, and the
values of the tensors follow. `inputs` are rounded to the 8 bits from which a network was trained. The
`classification` parameter of an output asks for the likeliest classes as `probability:index:name`.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from residua.errors import DataError
from residua.serve.limits import Limits
from residua.serve.model import ServedModel
from residua.serve.problems import Refusal
from residua.spec.preprocess import Preprocess

LENGTH_HEADER = "Inference-Header-Content-Length"
"""Names the length of the JSON in front of binary tensors."""
MOST_LISTS = 1 << 18
"""Most lists and objects in the JSON of a request: an empty one takes 20 times its text in memory."""
_NAMES = {
    str: "text",
    bool: "true or false",
    NoneType: "null",
    float: "numbers with a point",
    dict: "objects",
}
PROBABILITIES, PREDICTIONS = "probabilities", "predictions"
"""Outputs: of networks that name classes, and of detectors."""


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that the client asks for."""

    name: str
    """Its name."""
    is_binary: bool
    """Whether its values follow the JSON."""
    topk: int = 0
    """Classes as text; 0 for the probabilities of all."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request, understood but not decoded."""

    id: str
    """What the client calls it; empty for nothing."""
    pictures: tuple[Any, ...]
    """What the inputs of the network are read from, one each: encoded images, or arrays."""
    read: Callable[[Any], Any]
    """Reads one of them."""
    outputs: tuple[RequestedOutput, ...]
    """What to respond with."""


@dataclass(frozen=True, slots=True)
class InferResponse:
    """A response, ready to send."""

    body: bytes
    """JSON, and binary tensors."""
    json_length: int
    """Length of the JSON where binary tensors follow; 0 where there are none."""


def inputs_of(model: ServedModel) -> list[dict[str, Any]]:
    """The inputs that a model takes, of which a request gives one, as the protocol describes tensors."""
    inputs: list[dict[str, Any]] = [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    preprocess = model.preprocess
    if model.task != "clips" and preprocess.colour != "bands":
        inputs.append({"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, preprocess.channels]})
    if model.task == "images" and not preprocess.mean_image:
        shape = [-1, preprocess.channels, preprocess.size, preprocess.size]
        inputs.append({"name": "inputs", "datatype": "FP32", "shape": shape})
    return inputs


def outputs_of(model: ServedModel) -> list[dict[str, Any]]:
    """The output of a model, as the protocol describes tensors."""
    if model.task == "boxes":
        return [{"name": PREDICTIONS, "datatype": "BYTES", "shape": [-1]}]
    return [{"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, len(model.classes)]}]


def parse_request(body: bytes, json_length: str | None, model: ServedModel, limits: Limits) -> InferRequest:
    """Understand a request.

    Args:
        body: All of it.
        json_length: The header Inference-Header-Content-Length, None without one.
        model: The network that it is for.
        limits: What requests may use.

    Returns:
        The request; its images are not decoded yet.

    Raises:
        Refusal: It does not follow the protocol, or its tensors do not fit the network.
    """
    split = len(body) if json_length is None else _whole(json_length, most=len(body))
    if body.count(b"[", 0, split) + body.count(b"{", 0, split) > MOST_LISTS:
        text = f"more than {MOST_LISTS} lists: send flat data, or binary tensors"
        raise Refusal(413, text, reason="too large")
    try:
        plain = from_json(body[:split], allow_inf_nan=False)
    except ValueError:
        raise _wrong("the body is no JSON of the Open Inference Protocol") from None
    tensors = _field(plain, "inputs", list)
    if len(tensors) != 1:
        raise _wrong(f"{len(tensors)} inputs: give one of {_names(model)}")
    pictures, read = _pictures(tensors[0], body[split:], model, limits)
    name = plain.get("id", "")
    if not isinstance(name, str):
        raise _wrong("id is no text")
    return InferRequest(name, pictures, read, _requested(plain, model))


def response(request: InferRequest, outputs: Sequence[Any], model: ServedModel) -> InferResponse:
    """The response to a request.

    Args:
        request: The request.
        outputs: One output of the network for each of its jobs.
        model: The network.
    """
    tensors, tail = [], b""
    for requested in request.outputs:
        datatype, shape, values = _values(requested, outputs, model)
        tensor: dict[str, Any] = {"name": requested.name, "datatype": datatype, "shape": shape}
        if requested.is_binary:
            raw = _packed(values) if isinstance(values, list) else values.astype("<f4").tobytes()
            tensor["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
            tensors.append(json.dumps(tensor))
        else:
            flat = values if isinstance(values, list) else values.ravel().tolist()
            tensors.append(f'{json.dumps(tensor)[:-1]}, "data": [{_listed(flat, shape[0])}]}}')
    document = {"model_name": model.name} | ({"id": request.id} if request.id else {})
    about = json.dumps(document, ensure_ascii=False)[:-1]
    head = f'{about}, "outputs": [{", ".join(tensors)}]}}'.encode()
    return InferResponse(head + tail, len(head) if tail else 0)


def _listed(values: Sequence[Any], rows: int) -> str:
    """The values as JSON without brackets; one row at a time: while JSON is written, no other thread runs."""
    size = len(values) // rows
    parts = (values[start : start + size] for start in range(0, len(values), size))
    return ", ".join(json.dumps(part, ensure_ascii=False, allow_nan=False)[1:-1] for part in parts)


def _pictures(
    tensor: Any, binary: bytes, model: ServedModel, limits: Limits
) -> tuple[tuple[Any, ...], Callable[[Any], Any]]:
    """The rows of the one input tensor, and what reads each."""
    name, datatype = _field(tensor, "name", str), _field(tensor, "datatype", str)
    known = {each["name"]: each for each in inputs_of(model)}
    if name not in known or known[name]["datatype"] != datatype:
        raise _wrong(f"an input that this network does not have: give {_names(model)}")
    shape = _shape(tensor, known[name]["shape"], limits)
    if datatype == "BYTES":
        return tuple(_files(tensor, binary, shape[0])), model.read
    if datatype == "UINT8":
        return tuple(_array(tensor, binary, shape, np.dtype(np.uint8))), model.read_pixels
    values = _array(tensor, binary, shape, np.dtype("<f4"))
    return tuple(values), partial(_view, preprocess=model.preprocess)


def _shape(tensor: Any, known: Sequence[int], limits: Limits) -> tuple[int, ...]:
    """The shape of a tensor, which fits the known one."""
    shape = _field(tensor, "shape", list)
    if len(known) == 1 and len(shape) == 2 and shape[1] == 1:
        shape = shape[:1]  # KServe writes a column of texts as [n, 1]
    if any(type(side) is not int or side < 1 for side in shape) or len(shape) != len(known):
        raise _wrong(f"a shape that does not fit: give {list(known)}, -1 standing for any number")
    if any(side != free and free != -1 for side, free in zip(shape, known, strict=True)):
        raise _wrong(f"a shape that does not fit: give {list(known)}, -1 standing for any number")
    if shape[0] > limits.images:
        text = f"{shape[0]} images in one request: send at most {limits.images}"
        raise Refusal(413, text, reason="too many images")
    if math.prod(shape) > limits.body_bytes:
        raise _wrong("a shape with more values than a body can hold")
    return tuple(shape)


def _array(tensor: Any, binary: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values of a tensor of numbers."""
    count = math.prod(shape)
    try:
        if (size := _binary_size(tensor, binary)) is not None:
            if size != count * dtype.itemsize:
                raise ValueError
            return np.frombuffer(binary, dtype, count).reshape(shape)
        data = _field(tensor, "data", list)
        _check_types(data, dtype)
        return np.asarray(data, dtype).reshape(shape)
    except (ValueError, TypeError, OverflowError):
        raise _wrong(f"data that are not {count} numbers of the type") from None


def _check_types(data: Sequence[Any], dtype: np.dtype[Any]) -> None:
    """Refuse what numpy would make numbers of."""
    is_whole = dtype == np.uint8
    if others := _types(data) - ({int} if is_whole else {int, float}):
        names = " and ".join(sorted(_NAMES[each] for each in others))
        raise _wrong(
            f"data that hold {names}: give {'whole numbers from 0 to 255' if is_whole else 'numbers'}"
        )


def _types(values: Sequence[Any]) -> set[type]:
    """The types of what nested lists hold; Python's own loop, so that long lists take no time."""
    types = set(map(type, values))
    if list in types:
        types = types.union(*(_types(each) for each in values if type(each) is list)) - {list}
    return types


def _files(tensor: Any, binary: bytes, count: int) -> list[bytes]:
    """The encoded images of a tensor of BYTES."""
    if _binary_size(tensor, binary) is not None:
        files = _unpacked(binary, count)
    else:
        try:
            files = [base64.b64decode(text, validate=True) for text in _field(tensor, "data", list)]
        except (binascii.Error, ValueError, TypeError):
            raise _wrong("data that are not base64: encode each image, or send binary tensors") from None
    if len(files) != count:
        raise _wrong(f"another number of images than the shape says: give {count}")
    return files


def _unpacked(binary: bytes, most: int) -> list[bytes]:
    """The elements of a binary tensor of BYTES, each after its length in 4 bytes; at most one too many."""
    files: list[bytes] = []
    place = 0
    while place < len(binary) and len(files) <= most:
        size = int.from_bytes(binary[place : place + 4], "little")
        place += 4
        if place + size > len(binary):
            raise _wrong("a binary tensor that ends early: write 4 bytes of length before each image")
        files.append(binary[place : place + size])
        place += size
    return files


def _packed(texts: Sequence[str]) -> bytes:
    """A binary tensor of BYTES."""
    encoded = [text.encode() for text in texts]
    return b"".join(len(each).to_bytes(4, "little") + each for each in encoded)


def _binary_size(tensor: Any, binary: bytes) -> int | None:
    """How many bytes after the JSON are the tensor's: all of them, or None when it is in the JSON."""
    parameters = tensor.get("parameters") or {}
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        if binary:
            raise _wrong("bytes after the JSON that belong to no tensor: give binary_data_size")
        return None
    if size != len(binary) or type(size) is not int:
        raise _wrong("binary_data_size differs from the number of bytes after the JSON")
    return size


def _view(values: NDArray[np.float32], preprocess: Preprocess) -> NDArray[np.uint8]:
    """The view from which normalised inputs (C, S, S) were made."""
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (preprocess.mean, preprocess.std))
    levels = np.rint((values * std + mean) * 255)
    if not (np.isfinite(levels).all() and levels.min() >= -1 and levels.max() <= 256):
        numbers = f"mean {list(preprocess.mean)} and std {list(preprocess.std)}"
        raise DataError(f"inputs outside the range of images: normalise pixels from 0 to 1 with {numbers}")
    view: NDArray[np.uint8] = levels.clip(0, 255).astype(np.uint8)
    return view


def _requested(plain: Mapping[str, Any], model: ServedModel) -> tuple[RequestedOutput, ...]:
    """The outputs that a request asks for; by default the only one."""
    (known,) = outputs_of(model)
    parameters = plain.get("parameters") or {}
    is_binary = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    entries = plain.get("outputs") or [{"name": known["name"]}]
    if not isinstance(entries, list) or len(entries) > 8:
        raise _wrong("outputs are no list of outputs")
    return tuple(_output(each, known["name"], is_binary, model) for each in entries)


def _output(entry: Any, known: str, is_binary: bool, model: ServedModel) -> RequestedOutput:
    if _field(entry, "name", str) != known:
        raise _wrong(f"an output that this network does not have: ask for {known}")
    parameters = entry.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise _wrong("parameters are no object")
    topk = parameters.get("classification", 0)
    if type(topk) is not int or topk < 0 or (topk and model.task == "boxes"):
        raise _wrong("classification is no number of classes of this network")
    return RequestedOutput(known, parameters.get("binary_data", is_binary) is True, topk)


def _values(
    requested: RequestedOutput, outputs: Sequence[Any], model: ServedModel
) -> tuple[str, list[int], NDArray[np.float32] | list[str]]:
    """Datatype, shape and values of an output."""
    if model.task == "boxes":
        texts = [json.dumps(model.describe(output, 0), ensure_ascii=False) for output in outputs]
        return "BYTES", [len(texts)], texts
    rows = np.stack(outputs).astype(np.float32)
    if not requested.topk:
        return "FP32", list(rows.shape), rows
    count = min(requested.topk, rows.shape[1])
    texts = [
        f"{row[index]:.6f}:{index}:{model.classes[index]}"
        for row in rows
        for index in np.argsort(-row, kind="stable")[:count].tolist()
    ]
    return "BYTES", [len(rows), count], texts


def _names(model: ServedModel) -> str:
    return ", ".join(f"{each['name']} ({each['datatype']})" for each in inputs_of(model))


def _field(plain: Any, name: str, kind: type) -> Any:
    """A field of a JSON object, which must be of the type `kind`."""
    value = plain.get(name) if isinstance(plain, dict) else None
    if not isinstance(value, kind):
        raise _wrong(f"{name} is missing, or of another type than the protocol's")
    return value


def _whole(text: str, *, most: int) -> int:
    """A header as a number from 0 to `most`."""
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise _wrong(f"{LENGTH_HEADER} is no length within the body")
    return int(text)


def _wrong(text: str) -> Refusal:
    return Refusal(400, text, reason="bad request")
