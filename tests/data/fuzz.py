"""Coverage-guided fuzzing of untrusted input: image files, label files and indexes of shards.

`python tests/data/fuzz.py decode|labels|shards SEEDS [libFuzzer's options]`, e.g. `-max_total_time=600`,
needs atheris (`pip install 'residua[fuzz]'`) and writes failing inputs beside the seeds. Anything that is
neither read nor refused by a DataError stops it, as do five seconds or a gigabyte too many.
"""

import json
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris

atheris.enabled_hooks.add("str")  # comparisons of strings guide the search, too
with atheris.instrument_imports(include=["residua.data", "PIL"]):
    from corpus import corpus

    from residua.data.decode import decode
    from residua.data.images import Images
    from residua.data.open import find
    from residua.data.sources.labels import list_label_file
    from residua.data.sources.shards import write_shards
    from residua.errors import DataError

LIMITS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=20000", "-len_control=0")
"""Seconds and memory of one input; most of the corpus is shorter. Long from the first: JSON cannot be cut."""
IMAGES = 4
"""In the shard whose index is changed: few, so that many changes are tried."""
ENDINGS = ("csv", "jsonl")
LABELS = (
    b"\0path,label,split\ncat/0.png,cat,train\n",
    b"\0a.png;1.0\nb.png;2\n",
    b'\0"a ""b"".png"\tc\n',
    b"\0\xef\xbb\xbfa,b\r\n",
    b'\1{"path": "a.png", "label": 1}\n{"path": "b.png", "label": "2"}\n',
    b'\1{"file": "\\ud83d\\ude00.png", "class": "a", "split": "dev"}\n',
    b'\1{"path": "a.png", "label": %s}\n' % (b"9" * 5000),
    b'\1{"path": "a.png", "label": %s}\n' % (b"[" * 10_000),
)
"""Label files to begin with; the first byte tells which of `ENDINGS` they have."""

WORDS = {
    "decode": (),
    "labels": (
        *"\"'{}[]:;,\t\n-.",
        "0",
        "-1",
        "1e9",
        "nan",
        "null",
        "train",
        "dev",
        "../",
        "\\ud800",
        "path",
        "label",
    ),
    "shards": (
        *'"{}[],:',
        "0",
        "-1",
        "1e9",
        "99999999999999999999",
        "null",
        "true",
        '""',
        "[[]]",
        "../",
        "\\ud800",
    ),
}
"""Tokens of each kind of file: inserted at random, they reach further than random bytes."""

VALUES = (
    *(None, True, "", "../x", "\ud800", "9" * 5000, [], {}, [[]], float("inf")),
    *(0, 1, -1, 0.5, 2**31, 2**63 - 1, 2**63, 2**70, -(2**63) - 1),
)
"""Values that are put anywhere into a JSON document."""

Read = Callable[[bytes], object]


def decode_image(_folder: Path) -> tuple[Read, list[bytes]]:
    """Image files."""
    return lambda content: decode(content, colour="rgb"), list(corpus().values())


def labels(folder: Path) -> tuple[Read, list[bytes]]:
    """Label files without images."""

    def read(content: bytes) -> object:
        file = folder / f"labels.{ENDINGS[(content[0] if content else 0) % len(ENDINGS)]}"
        file.write_bytes(content[1:])
        return title_lines(list_label_file(file).train)

    return read, list(LABELS)


def title_lines(images: Images) -> list[bytes]:
    """Title and class of each image, encoded."""
    classes = [images.classes[label] for label in images.labels.tolist()]
    return [f"{images.title(i)} {name}".encode() for i, name in enumerate(classes)]


def shards(folder: Path) -> tuple[Read, list[bytes]]:
    """Both indexes of one shard, a line each; the first byte is ignored.

    Two seeds, each with the other index as it was packed, would do the same, and a search keeps the shorter.
    """
    good = {name: content for name, content in corpus().items() if name.startswith("mode-")}
    for place, (name, content) in enumerate(list(good.items())[:IMAGES]):
        file = folder / "images" / "ab"[place % 2] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    write_shards(find(str(folder / "images")), folder / "packed")
    files = sorted((folder / "packed").glob("*.json"))
    seed = b"\0" + b"\n".join(file.read_bytes().strip() for file in files)

    def read(content: bytes) -> object:
        for file, line in zip(files, [*content[1:].split(b"\n"), b""], strict=False):
            file.write_bytes(line)
        images = find(str(folder / "packed")).train
        title_lines(images)
        return [images.image(i, "rgb") for i in range(len(images))]

    return read, [seed]


def changed(content: bytes, most: int, seed: int) -> bytes:
    """`content` with a value somewhere in its JSON replaced, taken out or doubled; at times, bytes.

    A byte that is changed at random is a syntax error nine times in ten, and no search gets past the parser.
    """
    chance = random.Random(seed)
    try:
        head, lines = content[:1], [json.loads(line) for line in content[1:].splitlines()]
    except (ValueError, RecursionError):
        lines = []
    if not lines or chance.random() < 0.25:
        return bytes(atheris.Mutate(content, most))
    inside, key = chance.choice(places(lines))
    action = chance.randrange(4)
    if action == 0 and len(inside) > 1:
        del inside[key]
    elif action == 1 and isinstance(inside, list):
        inside.append(inside[key])
    else:
        inside[key] = chance.choice(VALUES)
    return (head + "\n".join(map(json.dumps, lines)).encode())[:most]


def places(value: object) -> list[tuple[Any, Any]]:
    """Every container and key in `value`."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, child in inside for place in [(value, key), *places(child)]]


def _escaped(word: str) -> str:
    """`word` in the syntax of libFuzzer's dictionaries."""
    return "".join(f"\\x{ord(letter):02x}" for letter in word)


TARGETS = {"decode": decode_image, "labels": labels, "shards": shards}


def main() -> None:
    """Search until an option says to end, or something is found."""
    name, seeds, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        read, first = TARGETS[name](Path(place))
        Path(seeds).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(first):
            Path(seeds, f"seed-{number:03}").write_bytes(content)

        def one(content: bytes) -> None:
            with suppress(DataError):
                read(content)

        limits = [*LIMITS, f"-artifact_prefix={seeds}/found-"]
        if WORDS[name]:
            words = Path(place, "words")
            words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS[name]))
            limits.append(f"-dict={words}")
        structured = {} if name == "decode" else {"custom_mutator": changed}
        atheris.Setup([sys.argv[0], *limits, *options, seeds], one, **structured)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
