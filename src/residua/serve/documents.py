"""What the OpenAPI document says of bodies and responses."""

from typing import Any

Responses = dict[int | str, dict[str, Any]]
"""Status -> description and content, as FastAPI takes them."""


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object that has all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def without_validation_errors(document: dict[str, Any]) -> dict[str, Any]:
    """A document without status 422 and its schemas: such requests get 400 and `{"error": text}`."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    document.pop("components", None)
    return document


TEXT = {"type": "string"}
NUMBER = {"type": "number"}
TRUTH = {"type": "boolean"}
BYTES = {"type": "string", "format": "binary"}
TEXTS = {"type": "array", "items": {"type": "string"}}
SHAPE = {"type": "array", "items": {"type": "integer"}}
ERROR = _object(error=TEXT)
TENSOR = _object(name=TEXT, datatype={"enum": ["BYTES", "UINT8", "FP32"]}, shape=SHAPE)

LIVE: Responses = {200: _json("The process lives.", _object(live=TRUTH))}
READY: Responses = {
    200: _json("Requests are accepted.", _object(ready=TRUTH)),
    503: _json("The server is stopping.", _object(ready=TRUTH)),
}
UNKNOWN: Responses = {404: _json("There is no such network or file.", ERROR)}
METRICS: Responses = {200: {"description": "All counters.", "content": {"text/plain": {"schema": TEXT}}}}
SERVER: Responses = {
    200: _json("The server.", _object(name=TEXT, version=TEXT, extensions=TEXTS, models=TEXTS))
}
MODEL: Responses = {
    200: _json(
        "The network.",
        _object(
            name=TEXT,
            versions={"type": "array", "items": TEXT},
            platform=TEXT,
            inputs={"type": "array", "items": TENSOR},
            outputs={"type": "array", "items": TENSOR},
            parameters={"type": "object"},
        ),
    )
}
ABOUT: Responses = {200: _json("The network, for the page.", _object(model=TEXT, classes={"type": "array"}))}
PAGE: Responses = {200: {"description": "The file.", "content": {"*/*": {"schema": BYTES}}}}
REFUSED: Responses = {
    400: _json("The request is wrong.", ERROR),
    403: _json("Host or Origin is not allowed.", ERROR),
    408: _json("The body came too slowly.", ERROR),
    413: _json("The body is too large, or holds too many images.", ERROR),
    415: _json("The body is compressed.", ERROR),
    429: _json("All places are taken; Retry-After says when to come again.", ERROR),
    503: _json("The server is stopping.", ERROR),
}
PREDICT: Responses = {
    200: _json(
        "One prediction for each file, in their order.",
        _object(
            model=TEXT,
            predictions={"type": "array", "items": {"type": "object"}},
            ms=_object(queue=NUMBER, decode=NUMBER, infer=NUMBER, total=NUMBER),
        ),
    )
}
INFER: Responses = {
    200: {
        "description": "The output tensors; binary ones follow the JSON.",
        "content": {
            "application/json": {
                "schema": _object(model_name=TEXT, outputs={"type": "array", "items": TENSOR})
            },
            "application/octet-stream": {"schema": BYTES},
        },
    }
}
PREDICT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "An encoded image, or a form whose parts with a filename are images.",
        "content": {
            "application/octet-stream": {"schema": BYTES},
            "image/*": {"schema": BYTES},
            "multipart/form-data": {"schema": {"type": "object", "properties": {"file": BYTES}}},
        },
    }
}
INFER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A request of the Open Inference Protocol, version 2.",
        "content": {
            "application/json": {
                "schema": _object(inputs={"type": "array", "items": TENSOR, "minItems": 1, "maxItems": 1})
            },
            "application/octet-stream": {"schema": BYTES},
        },
    }
}
