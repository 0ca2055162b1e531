"""Coverage-guided fuzzing of what strangers hand over: image files, label files and indexes of shards.

`python tests/data/fuzz.py gate|labels|shards SEEDS [libFuzzer's options]`, e.g. `-max_total_time=600`, needs
atheris (`pip install 'residua[fuzz]'`) and writes what it finds beside. Anything that is neither read nor
refused by a DataError stops it, as do five seconds or a gigabyte too many.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

atheris.enabled_hooks.add("str")  # what text begins and ends with guides the search, too
with atheris.instrument_imports(include=["residua.data", "PIL"]):
    from corpus import corpus

    from residua.data.decode import DataError, decode
    from residua.data.images import Images
    from residua.data.labels import find_labels
    from residua.data.shards import find_shards, pack
    from residua.data.sources import find

LIMITS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=20000")
"""Seconds and memory of one input; most of the corpus is shorter."""
ENDINGS = ("csv", "jsonl")
LABELS = (
    b"\0path,label,split\ncat/0.png,cat,train\n",
    b"\0a.png;1.0\nb.png;2\n",
    b'\0"a ""b"".png"\tc\n',
    b"\0\xef\xbb\xbfa,b\r\n",
    b'\1{"path": "a.png", "label": 1}\n{"path": "b.png", "label": "2"}\n',
    b'\1{"file": "\\ud83d\\ude00.png", "class": "a", "split": "dev"}\n',
)
"""Label files to begin with; the first byte tells which of `ENDINGS` they have."""

WORDS = {
    "gate": (),
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
"""What files of a kind are made of: put in at random, they reach further than random bytes do."""

Read = Callable[[bytes], object]


def gate(_folder: Path) -> tuple[Read, list[bytes]]:
    """Image files."""
    return lambda content: decode(content, colour="rgb"), list(corpus().values())


def labels(folder: Path) -> tuple[Read, list[bytes]]:
    """Label files beside nothing."""

    def read(content: bytes) -> object:
        file = folder / f"labels.{ENDINGS[(content[0] if content else 0) % len(ENDINGS)]}"
        file.write_bytes(content[1:])
        return told(find_labels(file).train)

    return read, list(LABELS)


def told(images: Images) -> list[bytes]:
    """Names and classes of all, as they are written down."""
    classes = [images.classes[label] for label in images.labels.tolist()]
    return [f"{images.title(i)} {name}".encode() for i, name in enumerate(classes)]


def shards(folder: Path) -> tuple[Read, list[bytes]]:
    """Indexes of one shard: the first byte tells which of both is replaced by the others."""
    good = {name: content for name, content in corpus().items() if name.startswith("mode-")}
    for place, (name, content) in enumerate(good.items()):
        file = folder / "images" / "ab"[place % 2] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    pack(find(str(folder / "images")), folder / "packed")
    files = sorted((folder / "packed").glob("*.json"))
    held = [file.read_bytes() for file in files]

    def read(content: bytes) -> object:
        which = (content[0] if content else 0) % len(files)
        files[which].write_bytes(content[1:])
        try:
            images = find_shards(str(folder / "packed")).train
            told(images)
            return [images.image(i, "rgb") for i in range(len(images))]
        finally:
            files[which].write_bytes(held[which])

    return read, [bytes([which]) + content for which, content in enumerate(held)]


def _spelled(word: str) -> str:
    """`word` as libFuzzer's dictionaries spell it."""
    return "".join(f"\\x{ord(letter):02x}" for letter in word)


TARGETS = {"gate": gate, "labels": labels, "shards": shards}


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
            words.write_text("".join(f'"{_spelled(word)}"\n' for word in WORDS[name]))
            limits.append(f"-dict={words}")
        atheris.Setup([sys.argv[0], *limits, *options, seeds], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
