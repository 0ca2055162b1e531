"""Export: the files that an export wrote, what was measured of each, and those that were not kept."""

from dataclasses import dataclass
from pathlib import Path

from residua.errors import CheckpointError
from residua.predict.export.facts import Takes
from residua.predict.export.gate import Parity
from residua.predict.export.int8 import Int8Accuracy
from residua.spec.amount import format_bytes, quantity
from residua.spec.text_table import TextTable


@dataclass(frozen=True, slots=True)
class Int8Result:
    """What int8 costs and gains."""

    float_size: int
    """Bytes of the same file in float32."""
    accuracy: Int8Accuracy
    """Top-1 accuracy before and after."""
    speedup: dict[int, float]
    """Images at once -> how many times as many images per second as float32, in the same runtime, here."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file, and how well it agrees with the network."""

    target: str
    """What it was written for: `onnx`, `openvino`, ..."""
    path: str
    """The file; OpenVINO has a second one beside it, which ends in .bin."""
    runs_on: str
    """What computes it."""
    size: int
    """Bytes, of both files where there are two."""
    sha256: dict[str, str]
    """Path of each file -> its SHA-256."""
    parity: Parity
    """What the gate measured; of int8, with the graph in float32."""
    is_predictable: bool
    """Whether `residua predict` takes it."""
    int8: Int8Result | None = None
    """What int8 costs and gains; None for float32."""


@dataclass(frozen=True, slots=True)
class Export:
    """The files that were written, and those that were not kept."""

    network: str
    """Name of the network."""
    takes: Takes
    """What the graphs read."""
    images: str
    """On which images they were compared."""
    files: tuple[ExportedFile, ...]
    """One for each target that agrees."""
    refused: tuple[ExportedFile, ...] = ()
    """Those that disagree; they are not on disk."""

    def table(self) -> TextTable:
        """One row for each target; below, what was compared, and the digests."""
        results = [(each, each.int8) for each in self.files if each.int8]
        digests = [
            f"SHA-256 of {path}: {digest}" for each in self.files for path, digest in each.sha256.items()
        ]
        if results:
            head = ("target", "file", "size", "float32", "top-1 before", "after", "95 % interval", "speed")
            notes = [
                f"{each.target}: {note}" for each, int8 in results for note in int8.accuracy.table().notes
            ]
            sizes = " and ".join(map(str, results[0][1].speedup))
            notes.append(f"speed: int8 / float32 of the same runtime on this machine, at batch {sizes}")
            return TextTable(head, tuple(_int8_row(*pair) for pair in results), 2, (*notes, *digests))
        head = ("target", "file", "size", "largest difference", "allowed", "same top-1", "ms per image", "")
        rows = tuple(_row(each, "kept") for each in self.files)
        rows += tuple(_row(each, "refused") for each in self.refused)
        return TextTable(head, rows, 2, (f"compared on {self.images}", *digests))

    def check(self) -> None:
        """CheckpointError when a file disagrees."""
        for each in self.refused:
            parity = each.parity
            differs = f"a logit by {parity.difference:.2g} on {quantity(parity.images, 'image')}"
            raise CheckpointError(
                f"{each.path} differs in {differs}, {parity.tolerance:.2g} are allowed: it is not kept, "
                "give another --to"
            )


def _row(each: ExportedFile, outcome: str) -> tuple[str, ...]:
    parity = each.parity
    numbers = (f"{parity.difference:.1e}", f"{parity.tolerance:.1e}", f"{100 * parity.same_top1:.1f} %")
    time = f"{parity.milliseconds:.1f}"
    return (each.target, Path(each.path).name, format_bytes(each.size), *numbers, time, outcome)


def _int8_row(each: ExportedFile, int8: Int8Result) -> tuple[str, ...]:
    accuracy = int8.accuracy
    low, high = accuracy.after.interval
    scores = (f"{accuracy.before.top1:.2f} %", f"{accuracy.after.top1:.2f} %", f"{low:.2f} to {high:.2f} %")
    speed = " ".join(f"{ratio:.2f}x" for ratio in int8.speedup.values())
    sizes = (f"{size / 2**20:.2f} MiB" for size in (each.size, int8.float_size))
    return (each.target, Path(each.path).name, *sizes, *scores, speed)
