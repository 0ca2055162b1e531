"""Frozen dataclasses to plain JSON values and back, and single fields overridden by path."""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

Record = TypeVar("Record")

FEW = 12
"""Names listed where none is near: what fits into a line."""


def nearest(word: str, known: Iterable[str], *, count: int = 3) -> str:
    """A clause that names the nearest of `known`, or the first of them when none is near."""
    known = list(known)
    close = difflib.get_close_matches(word, known, count, 0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(known) - FEW} more" if len(known) > FEW else ""
    return f"known: {', '.join(known[:FEW])}{more}"


def to_plain(value: Any) -> Any:
    """`value` as what JSON can hold: records become dicts, tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[Record], plain: Any, *, path: str = "") -> Record:
    """The `kind` that `to_plain` made `plain` from.

    A field that was added since, and so is missing, takes its default. ValueError names the path of any
    other missing, unknown or wrong field.
    """
    value: Record = _read(kind, plain, path or kind.__name__)
    return value


def to_json(value: Any) -> str:
    """`value` as indented JSON text; ValueError if a number in it is not finite."""
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def from_json(kind: type[Record], text: str) -> Record:
    """The `kind` written in `text`. ValueError says where the text is not one."""
    try:
        return from_plain(kind, json.loads(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None


def override(record: Record, path: str, text: str) -> Record:
    """`record` with the field at the dotted `path` read from `text`, which is JSON or a bare word.

    ValueError names the nearest valid path when there is no such field, or what the field holds when `text`
    is not one.
    """
    return _override(record, path.split("."), text, path)


def paths(kind: type[Any], *, before: str = "") -> list[str]:
    """Every dotted path of a single value inside the record type `kind`."""
    found = []
    for name, hint in _hints(kind).items():
        inner = _record_in(hint)
        found += paths(inner, before=f"{before}{name}.") if inner else [before + name]
    return found


def _record_in(hint: Any) -> type[Any] | None:
    """The record that a field of type `hint` holds, if it is one, or may be none."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else (hint,)
    records = [kind for kind in kinds if dataclasses.is_dataclass(kind)]
    return typing.cast("type[Any]", records[0]) if len(records) == 1 else None


def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _override(record: Record, steps: list[str], text: str, path: str) -> Record:
    kind: type[Any] = type(record)
    hints = _hints(kind)
    name, rest = steps[0], steps[1:]
    if name not in hints or bool(rest) != bool(_record_in(hints[name])):
        known = paths(kind, before=path[: len(path) - len(".".join(steps))])
        raise ValueError(f"no setting {path!r}: {nearest(path, known)}")
    if rest and getattr(record, name) is None:
        raise ValueError(f"{path} cannot be set: there is no {name} here")
    if rest:
        value = _override(getattr(record, name), rest, text, path)
    else:
        value = _read(hints[name], _word(text, hints[name]), path)
    changed: Record = dataclasses.replace(record, **{name: value})  # type: ignore[type-var]
    return changed


def _word(text: str, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple and not text.lstrip().startswith("["):
        return [_word(part.strip(), typing.get_args(hint)[0]) for part in text.split(",") if part.strip()]
    if hint is str:
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _read(hint: Any, plain: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _read_record(typing.cast("type[Any]", hint), plain, path)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _read_tuple(inner, plain, path)
    if origin is types.UnionType:
        return _read_union(inner, plain, path)
    if origin is typing.Literal:
        if plain not in inner:
            raise ValueError(f"{path} is {plain!r}: {nearest(str(plain), map(str, inner))}")
        return plain
    if hint is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if type(plain) is not hint:
        raise ValueError(f"{path} is {plain!r}, which is no {hint.__name__}")
    if hint is float and not math.isfinite(plain):
        raise ValueError(f"{path} is {plain!r}: give a finite number")
    return plain


def _read_record(kind: type[Any], plain: Any, path: str) -> Any:
    hints = _hints(kind)
    if not isinstance(plain, dict):
        raise ValueError(f"{path} is {plain!r}, not the fields of {kind.__name__}: {', '.join(hints)}")
    for name in plain:
        if name not in hints:
            raise ValueError(f"{path} has no field {name!r}: {nearest(name, hints)}")
    for field in dataclasses.fields(kind):
        if field.name not in plain and _has_no_default(field):
            raise ValueError(f"{path} lacks the field {field.name!r}")
    return kind(**{name: _read(hints[name], value, f"{path}.{name}") for name, value in plain.items()})


def _has_no_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_union(inner: tuple[Any, ...], plain: Any, path: str) -> Any:
    """None, or the first member; between records, the first that has all of the fields."""
    if plain is None and type(None) in inner:
        return None
    records = [typing.cast("type[Any]", kind) for kind in inner if dataclasses.is_dataclass(kind)]
    fits = [kind for kind in records if set(plain) <= set(_hints(kind))]
    return _read((fits or inner)[0], plain, path)


def _read_tuple(inner: tuple[Any, ...], plain: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(plain, list):
        raise ValueError(f"{path} is {plain!r}: give a list")
    many = len(inner) == 2 and inner[1] is Ellipsis
    if not many and len(plain) != len(inner):
        raise ValueError(f"{path} has {len(plain)} values: give {len(inner)}")
    kinds = [inner[0]] * len(plain) if many else list(inner)
    return tuple(
        _read(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(kinds, plain, strict=True))
    )
