"""Frozen dataclasses to plain JSON values and back, and single fields overridden by path.

`_read` walks the type hints of a dataclass and its JSON value together, so an error can name the path of the
wrong field. Hints may be dataclasses, tuples, dicts, `X | None`, `Literal` and the JSON types. All JSON that
may come from somebody else passes `parse_json` and, where it has fields, `from_plain`.
"""

import dataclasses
import difflib
import json
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from residua.errors import ConfigError, SettingError
from residua.spec.amount import quantity

Record = TypeVar("Record")

FEW = 12
"""Names listed where none is near: what fits into a line."""
MAX_DIGITS = 18
"""Most digits of a whole number, which then fits into 64 bits."""
LONGEST_NAME = 100
"""Characters of a misspelt name that are compared and shown."""
HUGE = 1e30
"""Largest real number of a setting: float32 holds it."""
MANY = 10**9
"""Largest count of a setting: more steps, images or epochs are a mistake."""

_type_hints: Callable[[Any], dict[str, Any]] = cache(typing.get_type_hints)
_brief = reprlib.Repr()
_brief.maxlevel, _brief.maxstring, _brief.maxother = 3, 60, 60


def nearest(word: str, known: Iterable[str], *, aliases: Mapping[str, str] | None = None) -> str:
    """A clause that suggests known names for a misspelt one.

    Args:
        word: What the user wrote.
        known: The names that exist.
        aliases: Other spelling -> known name: a `word` near a spelling suggests the name.

    Returns:
        `did you mean A or B?`, or where none is near `known: A, B, C and 9 more`.
    """
    word, known, aliases = word[:LONGEST_NAME], list(known), aliases or {}
    spellings = {name.lower(): aliases.get(name, name) for name in reversed([*known, *aliases])}
    close = difflib.get_close_matches(word.lower(), spellings, n=3, cutoff=0.5)
    if close:
        suggestions = dict.fromkeys(spellings[spelling] for spelling in close)
        return f"did you mean {' or '.join(suggestions)}?"
    more = f" and {len(known) - FEW} more" if len(known) > FEW else ""
    return f"known: {', '.join(known[:FEW])}{more}"


def check_field(path: str, value: object, is_allowed: bool, allowed: str) -> None:
    """Check one field while its dataclass is made.

    Args:
        path: Dotted path of the field, e.g. `optim.lr`.
        value: What it would hold.
        is_allowed: Whether it may hold that.
        allowed: The range in words, e.g. `a number above 0`.

    Raises:
        SettingError: `is_allowed` is false; the message names field, value and range.
    """
    if not is_allowed:
        raise SettingError(f"{path} is {_short_text(value)}: give {allowed}")


def check_range(path: str, value: float, low: float, high: float, *, zero: str = "") -> None:
    """Check that a number lies between two others, while its dataclass is made.

    Args:
        path: Dotted path of the field.
        value: What it would hold.
        low: Smallest allowed number.
        high: Largest allowed number.
        zero: What `low` stands for, e.g. `off`; shown in brackets.

    Raises:
        ConfigError: It does not; the message names field, value and range.
    """
    check_field(path, value, low <= value <= high, f"{low}{f' ({zero})' if zero else ''} to {high}")


def check_characters(path: str, texts: Iterable[str]) -> None:
    """Check that UTF-8 can hold texts: JSON can spell half a character (`\\ud800`), and nothing can write it.

    Args:
        path: Dotted path of their field.
        texts: The texts, e.g. names of classes.

    Raises:
        ConfigError: One of them holds half a character.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{path} holds half a character, a lone surrogate: write it as UTF-8") from None


def _short_text(value: object) -> str:
    """`value` as text of a length that fits into a line."""
    return str(value) if len(str(value)) <= LONGEST_NAME else _brief.repr(value)


def to_plain(value: Any) -> Any:
    """`value` as what JSON can hold: records become dicts, tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[Record], plain: Any, *, path: str = "", others: bool = False) -> Record:
    """The record that `to_plain` turned into `plain`.

    Args:
        kind: The dataclass.
        plain: JSON value of all its fields; missing ones take their default.
        path: Name of the record in messages; the class name if empty.
        others: Leave out fields that the dataclass does not have.

    Raises:
        ConfigError: A field without default is missing, or a field is unknown or wrong; names its path.
    """
    if others and isinstance(plain, dict) and dataclasses.is_dataclass(kind):
        plain = {name: plain[name] for name in plain.keys() & _hints(kind).keys()}
    value: Record = _read(kind, plain, path or kind.__name__)
    return value


def to_json(value: Any) -> str:
    """`value` as indented JSON text.

    Raises:
        ValueError: A number in it is not finite.
    """
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def from_json(kind: type[Record], text: str) -> Record:
    """The record of type `kind` that `text` holds as JSON.

    Raises:
        ConfigError: `text` is not JSON, or not such a record.
    """
    return from_plain(kind, parse_json(text))


def parse_json(text: str | bytes) -> Any:
    """The value that `text` holds as JSON.

    Raises:
        ConfigError: `text` is not JSON, is nested too deeply, or has a whole number of more than 18 digits.
    """
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ConfigError("not JSON: its brackets are nested too deeply") from None
    except ValueError as error:  # also for bytes that are no text
        raise ConfigError(f"not JSON: {error}") from None


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a whole number has {len(digits)} digits: give at most {MAX_DIGITS}")
    return int(digits)


def override(record: Record, path: str, text: str) -> Record:
    """`record` with one field changed.

    Args:
        record: A frozen dataclass, which may hold others.
        path: Dotted path of the field, e.g. `optim.lr`.
        text: The new value as JSON or as a bare word; a tuple may be written `0.5,0.75`.

    Raises:
        ConfigError: There is no such field (the message names the nearest paths), or it cannot hold `text`.
    """
    return _override(record, path.split("."), text, path)


def paths(kind: type[Any], *, before: str = "") -> list[str]:
    """Every dotted path of a single value inside the dataclass `kind`, in order; `before` precedes each."""
    listed = []
    for name, hint in _hints(kind).items():
        inner = _record_in(hint)
        listed += paths(inner, before=f"{before}{name}.") if inner else [before + name]
    return listed


def _record_in(hint: Any) -> type[Any] | None:
    """The record that a field of type `hint` holds, if it is one, or may be none."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else (hint,)
    records = [kind for kind in kinds if dataclasses.is_dataclass(kind)]
    return typing.cast("type[Any]", records[0]) if len(records) == 1 else None


def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = _type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _override(record: Record, steps: list[str], text: str, path: str) -> Record:
    kind: type[Any] = type(record)
    hints = _hints(kind)
    name, rest = steps[0], steps[1:]
    if name not in hints or bool(rest) != bool(_record_in(hints[name])):
        known = paths(kind, before=path[: len(path) - len(".".join(steps))])
        raise ConfigError(f"no setting {path!r}: {nearest(path, known)}")
    if rest and getattr(record, name) is None:
        raise ConfigError(f"{path} cannot be set: there is no {name} here")
    if rest:
        value = _override(getattr(record, name), rest, text, path)
    else:
        value = _read(hints[name], _word(text, hints[name]), path)
    changed: Record = dataclasses.replace(record, **{name: value})  # type: ignore[type-var]
    return changed


_TYPES: dict[Any, str] = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


def _word(text: str, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple and not text.lstrip().startswith("["):
        return [_word(part.strip(), typing.get_args(hint)[0]) for part in text.split(",") if part.strip()]
    if hint is str:
        return text
    try:
        return parse_json(text)
    except ConfigError:
        return text


def _read(hint: Any, plain: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _read_record(typing.cast("type[Any]", hint), plain, path)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _read_tuple(inner, plain, path)
    if origin is types.UnionType:
        return _read_union(inner, plain, path)
    if origin is dict:
        return _read_dict(inner[1], plain, path)
    if origin is typing.Literal:
        if plain not in inner:
            word = plain if isinstance(plain, str) else ""
            raise SettingError(f"{path} is {_brief.repr(plain)}: {nearest(word, map(str, inner))}")
        return plain
    return _read_scalar(hint, plain, path)


def _read_scalar(hint: Any, plain: Any, path: str) -> Any:
    if hint is Any:
        return plain
    if type(plain) is not hint and not (hint is float and type(plain) is int):
        raise SettingError(f"{path} is {_brief.repr(plain)}: give {_TYPES.get(hint, hint.__name__)}")
    return _finite(plain, path) if hint is float else plain


def _finite(plain: float, path: str) -> float:
    if not math.isfinite(plain):
        raise ConfigError(f"{path} is {plain}: give a finite number")
    return float(plain)


def _read_dict(inner: Any, plain: Any, path: str) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise ConfigError(f"{path} is {_brief.repr(plain)}: give names with a value each")
    return {name: _read(inner, value, f"{path}.{name[:LONGEST_NAME]}") for name, value in plain.items()}


def _read_record(kind: type[Any], plain: Any, path: str) -> Any:
    hints = _hints(kind)
    if not isinstance(plain, dict):
        fields = f"the fields of {kind.__name__}, which are {', '.join(hints)}"
        raise ConfigError(f"{path} is {_brief.repr(plain)}: give {fields}")
    for name in plain:
        if name not in hints:
            raise ConfigError(f"{path} has no field {_brief.repr(name)}: {nearest(name, hints)}")
    for field in dataclasses.fields(kind):
        if field.name not in plain and _has_no_default(field):
            raise ConfigError(f"{path} lacks the field {field.name!r}")
    return kind(**{name: _read(hints[name], value, f"{path}.{name}") for name, value in plain.items()})


def _has_no_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_union(inner: tuple[Any, ...], plain: Any, path: str) -> Any:
    """None, or the first member; between records, the first that has all of the fields."""
    if plain is None and type(None) in inner:
        return None
    records = [typing.cast("type[Any]", kind) for kind in inner if dataclasses.is_dataclass(kind)]
    fits = [kind for kind in records if isinstance(plain, dict) and set(plain) <= set(_hints(kind))]
    return _read((fits or inner)[0], plain, path)


def _read_tuple(inner: tuple[Any, ...], plain: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(plain, list):
        raise ConfigError(f"{path} is {_brief.repr(plain)}: give a list")
    many = len(inner) == 2 and inner[1] is Ellipsis
    if not many and len(plain) != len(inner):
        raise ConfigError(f"{path} has {quantity(len(plain), 'value')}: give {len(inner)}")
    kinds = [inner[0]] * len(plain) if many else list(inner)
    return tuple(
        _read(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(kinds, plain, strict=True))
    )
