"""Networks as text: `NAME`, `NAME:CHANGE=VALUE,...` or a JSON file; and what each change does."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, cast, get_type_hints

from residua.errors import ConfigError
from residua.spec import change, dilate, inflate, zoo
from residua.spec.arch import Arch, Head, Side
from residua.spec.block import Block, Fork
from residua.spec.changes import Changes
from residua.spec.clip import Clip
from residua.spec.preprocess import Preprocess
from residua.spec.record import from_plain, nearest, parse_json

FILE = ".json"
"""Ending of a file that spells a network."""
MAX_FILE_BYTES = 1 << 26
"""Most bytes of such a file; that of a network of 3,002 layers has a few million."""


CHANGES: Mapping[str, Callable[[Arch, Any], Arch]] = {
    "shortcut": change.with_shortcut,
    "order": change.with_order,
    "stride_on": change.with_stride_on,
    "opening": change.with_opening,
    "drop_path_rate": change.with_drop_path,
    "in_chans": change.with_channels,
    "img_size": change.with_size,
    "num_classes": change.with_classes,
    "frames": inflate.with_frames,
    "segments": inflate.with_segments,
    "frame_stride": inflate.with_frame_stride,
    "output_stride": dilate.with_output_stride,
    "drop_rate": change.with_drop_rate,
    "global_pool": change.with_global_pool,
}
"""Option -> the change, in the order in which changes are applied."""
FITTED = ("in_chans", "img_size", "num_classes")
"""Changes that training makes to every network so that it fits the data: they are no part of its name."""
_TYPES: Mapping[type, str] = {int: "a whole number", float: "a number", str: "text"}


def arch_of(text: str, **changes: Unpack[Changes]) -> Arch:
    """The network that `text` names, with its changes.

    Args:
        text: `NAME`, `NAME:CHANGE=VALUE,...`, or the path of a JSON file instead of NAME.
        changes: Further changes, which win over those in `text`; None changes nothing.

    Returns:
        The network. Changes of its layers or frames are part of its name, in the order of `CHANGES` and
        without those that have no effect, so that equal networks have equal names.

    Raises:
        ConfigError: The name, a change or a value is unknown; the message offers the nearest ones.
    """
    origin, own = split_text(text)
    arch = read_arch(Path(origin)) if is_file(origin) else zoo.arch(origin)
    return apply_changes(arch, **(own | _stated(changes)))


def apply_changes(arch: Arch, **changes: Unpack[Changes]) -> Arch:
    """`arch` with `changes`, under a name that shows them as in `arch_of`; None changes nothing.

    Changes in the name of `arch` and `changes` become one list, in which the latter win: if `arch` is the
    network of its name, the result is that of its new name, for the same images and classes.

    Raises:
        ConfigError: A change or a value is unknown; the message offers the nearest ones.
    """
    values = {option: _checked(option, value) for option, value in _stated(changes).items()}
    if not values:
        return arch
    origin, own = _named_changes(arch.name)
    if unchanged := _unchanged(arch, origin, own):
        return _changed(unchanged, {**own, **values})
    return _changed(replace(arch, name=origin), values, spelled=own)


def _changed(arch: Arch, values: Mapping[str, Any], spelled: Mapping[str, Any] | None = None) -> Arch:
    """`arch` with `values`; `spelled` are changes that it has already, for its new name."""
    name, words = arch.name, {option: _spelled(option, value) for option, value in (spelled or {}).items()}
    for option, change_arch in CHANGES.items():
        if option not in values:
            continue
        changed = change_arch(arch, values[option])
        if option not in FITTED and changed != arch:
            words[option] = _spelled(option, values[option])
        arch = changed
    text = ",".join(words[option] for option in CHANGES if option in words)
    return replace(arch, name=f"{name}:{text}") if text else arch


def _named_changes(name: str) -> tuple[str, Changes]:
    """What `split_text` finds in the name of an `Arch`; of a hand-written name without changes, itself."""
    try:
        return split_text(name)
    except ConfigError:
        return name, Changes()


def _unchanged(arch: Arch, origin: str, own: Changes) -> Arch | None:
    """`arch` before the changes in its name; None if it is not the network that its name says."""
    if not own or origin not in zoo.NAMES:
        return None
    listed = replace(zoo.arch(origin), classes=arch.classes, preprocess=arch.preprocess)
    named = replace(_changed(listed, own), preprocess=arch.preprocess, name=arch.name)
    return listed if named == arch else None


def split_text(text: str) -> tuple[str, Changes]:
    """The name or file in `text`, and the changes behind it.

    Args:
        text: `resnet34:shortcut=scale0.5,0.5,order=e`; a number behind a comma belongs to the value before.

    Raises:
        ConfigError: A change is empty, unknown or given twice, or has a value of another type.
    """
    origin, colon, rest = _parts(text)
    return origin, read_changes([rest] if colon else [], where=f" in {text!r}")


def read_changes(texts: Iterable[str], *, where: str = "") -> Changes:
    """The changes in `texts`, each of which is `CHANGE=VALUE` or several with commas between them.

    Args:
        texts: What the user wrote.
        where: Where it was written, for messages: a space, then e.g. `in 'resnet34:order'`.

    Raises:
        ConfigError: A change is empty, unknown or given twice, or has a value of another type.
    """
    changes: dict[str, Any] = {}
    for piece in (piece for text in texts for piece in _pieces(text)):
        option, _, value = (part.strip() for part in piece.partition("="))
        if not (option and value):
            raise ConfigError(
                f"{piece!r}{where} is no change: give CHANGE=VALUE, e.g. order=e; "
                f"changes: {', '.join(CHANGES)}"
            )
        if option in changes:
            raise ConfigError(f"{option} is changed twice{where}: give it once")
        changes[option] = _from_text(option, value)
    return cast("Changes", changes)


def spell(text: str, changes: Changes) -> str:
    """`text` with further `changes`, which win: what `arch_of(text, **changes)` makes, as one text."""
    origin, own = split_text(text)
    values: dict[str, Any] = {**own, **_stated(changes)}
    words = [_spelled(option, _checked(option, values[option])) for option in CHANGES if option in values]
    for option in values.keys() - CHANGES.keys():
        _refuse_unknown(option)
    return f"{origin}:{','.join(words)}" if words else origin


def origin_of(text: str) -> str:
    """The name or file in `text`, whose changes are not looked at."""
    return _parts(text)[0]


def original_name(name: str) -> str:
    """The name of an `Arch` before it was changed: `resnet34` of `resnet34:shortcut=A`."""
    return name.partition(":")[0]


def is_file(origin: str) -> bool:
    """Whether `origin`, as `split_text` gives it, is the path of a JSON file, and not a name."""
    return origin.endswith(FILE)


def is_network(text: str) -> bool:
    """Whether `text` is a listed name or a JSON file, with or without changes, and no pattern or run."""
    origin = origin_of(text)
    return origin in zoo.NAMES or is_file(origin)


def read_arch(file: Path) -> Arch:
    """The network that a JSON file spells: an `Arch`, or a document with one under `arch`.

    `residua explain NAME --json` writes such a document; recipes and saved folders hold one too.

    Raises:
        ConfigError: There is no such file, or a field is missing, unknown or wrong; the message names it.
    """
    if not file.is_file():
        raise ConfigError(f"no file {file}: give an Arch as JSON, as `residua explain NAME --json` prints it")
    if file.stat().st_size > MAX_FILE_BYTES:
        raise ConfigError(f"{file} has {file.stat().st_size:,} bytes: give at most {MAX_FILE_BYTES:,}")
    try:
        plain = parse_json(file.read_bytes())
        plain = plain["arch"] if isinstance(plain, dict) and "arch" in plain else plain
        _check_parts(plain)
        return from_plain(Arch, plain)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _check_parts(plain: Any) -> None:
    """ConfigError for a part that is wrong in itself; unlike the error of `Arch`, it names the part."""
    if not isinstance(plain, dict):
        return
    parts: list[tuple[str, type[Any], Any]] = [
        (name, kind, plain.get(name))
        for name, kind in (("stem", Block), ("head", Head), ("preprocess", Preprocess), ("clip", Clip))
    ]
    for stage, blocks in enumerate(_list(plain.get("stages"))):
        for index, block in enumerate(_list(blocks)):
            kind = Fork if isinstance(block, dict) and "branches" in block else Block
            parts.append((f"stages[{stage}][{index}]", kind, block))
    parts += [(f"sides[{number}]", Side, side) for number, side in enumerate(_list(plain.get("sides")))]
    for path, kind, part in parts:
        if part is None:
            continue
        try:
            from_plain(kind, part, path=path)
        except ConfigError as error:
            raise error if path in str(error) else ConfigError(f"{path}: {error}") from None


def _list(plain: Any) -> list[Any]:
    return plain if isinstance(plain, list) else []


def _parts(text: str) -> tuple[str, str, str]:
    """Name or file, colon and changes; the path of a file may have colons of its own."""
    file = re.match(rf".*{re.escape(FILE)}(?=:|$)", text, re.DOTALL)
    end = file.end() if file else (text + ":").index(":")
    return text[:end], text[end : end + 1], text[end + 1 :]


def _pieces(text: str) -> list[str]:
    """`CHANGE=VALUE` of each change in `text`."""
    pieces: list[str] = []
    for part in text.split(","):
        if pieces and re.fullmatch(r"\s*-?[\d.]+\s*", part):
            pieces[-1] += f",{part.strip()}"
        else:
            pieces.append(part)
    return pieces


def _stated(changes: Changes) -> Changes:
    """`changes` without those that are None."""
    return cast("Changes", {option: value for option, value in changes.items() if value is not None})


def _refuse_unknown(option: str) -> None:
    if option not in CHANGES:
        raise ConfigError(f"no change {option!r} of a network: {nearest(option, CHANGES)}")


def _from_text(option: str, text: str) -> Any:
    """The value that `text` spells. ConfigError when the option is unknown, or takes another type."""
    _refuse_unknown(option)
    kind = get_type_hints(Changes)[option]
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{option} is {text!r}: give {_TYPES[kind]}") from None


def _checked(option: str, value: object) -> Any:
    """`value` as the type of `option`. ConfigError when the option is unknown, or takes another type."""
    _refuse_unknown(option)
    kind = get_type_hints(Changes)[option]
    if isinstance(value, str) == (kind is str) and not isinstance(value, bool):
        try:
            return operator.index(cast("Any", value)) if kind is int else kind(value)
        except (TypeError, ValueError):
            pass
    raise ConfigError(f"{option} is {value!r}: give {_TYPES[kind]}")


def _spelled(option: str, value: Any) -> str:
    return f"{option}={change.shortcut_name(value) if option == 'shortcut' else value}"
