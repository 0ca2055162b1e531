"""Predict a folder of JPEGs from a file, end to end: `residua predict` beside a loop written by hand.

Both are commands of their own, with the same ONNX file and ONNX Runtime, and write a CSV file of all images.
The loop is what people write: torchvision's transforms in a DataLoader with one worker for each core. Rows:
images per second of the whole command beside the loop, and its peak memory (proportional set size of all its
processes) with many files beside the peak with a tenth of them: it must not grow. Memory is measured with a
small network, as it is the files that are many. A quick look: `--files 100 --many 500 --rounds 1`.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import turns
from PIL import Image

BATCH_SIZE = 16
OURS, PEER = "residua predict", "DataLoader loop"
SMALL = "cifar_resnet20"
"""The network with which memory is measured: it computes many files soon."""
DISTINCT = 1000
"""Files that differ; more are links to them, which are read and decoded like others."""
PAUSE = 0.2
"""Seconds between two looks at the memory."""


def write_jpegs(folder: Path, count: int) -> None:
    """Photographs as cameras and the web have them: 500 x 375, smooth with some noise, about 60 kB."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(min(DISTINCT, count)):
        colours = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((500, 375))
        noise = random.normal(0, 9, (375, 500, 1))
        pixels = np.clip(np.asarray(colours) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=90)
    for number in range(DISTINCT, count):
        os.link(folder / f"{number % DISTINCT:05}.jpg", folder / f"{number:05}.jpg")


def write_network(path: Path, name: str) -> None:
    """A network of residua with random weights, as an ONNX file."""
    import residua
    from residua.predict.export.onnx import onnx_bytes

    path.write_bytes(onnx_bytes(residua.create_model(name).eval()))


def loop(network: str, folder: str, out: str) -> None:
    """What people write by hand."""
    import onnxruntime
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    files = sorted(Path(folder).glob("*.jpg"))

    class Photos(Dataset[Any]):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> tuple[Any, str]:
            return transform(Image.open(files[i]).convert("RGB")), str(files[i])

    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    workers = len(os.sched_getaffinity(0))
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class", "probability"])
        for images, names in DataLoader(Photos(), BATCH_SIZE, num_workers=workers):
            (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
            probabilities = torch.softmax(torch.from_numpy(logits), 1)
            for name, row in zip(names, probabilities, strict=True):
                writer.writerow([name, int(row.argmax()), float(row.max())])


def command(side: str, network: Path, folder: Path, out: Path) -> list[str]:
    """The words of a side."""
    if side == PEER:
        return [sys.executable, __file__, "--loop", str(network), str(folder), str(out)]
    words = ["predict", str(network), str(folder), "-o", str(out), "--force", "--quiet"]
    return [sys.executable, "-m", "residua", *words, "--batch-size", str(BATCH_SIZE)]


def speed(side: str, network: Path, folder: Path) -> float:
    """Images per second of the whole command."""
    count = sum(1 for _ in folder.iterdir())
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "labels.csv"
        began = time.perf_counter()
        subprocess.run(command(side, network, folder, out), check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        assert out.read_text().count("\n") == count + 1
    return count / seconds


def peak_megabytes(network: Path, folder: Path) -> float:
    """The most memory of all processes of our command together."""
    with tempfile.TemporaryDirectory() as place:
        words = command(OURS, network, folder, Path(place) / "labels.csv")
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        peak = 0.0
        while process.poll() is None:
            pids = [process.pid, *turns.workers()]
            peak = max(peak, sum(map(proportional_megabytes, set(pids))))
            time.sleep(PAUSE)
    assert process.returncode == 0
    return peak


def proportional_megabytes(pid: int) -> float:
    """Memory of a process, in which what several share counts in parts."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def rows(args: argparse.Namespace) -> Iterator[turns.Row]:
    """Speed, and memory with many files beside a tenth of them."""
    with tempfile.TemporaryDirectory() as place:
        network, folder = Path(place) / "network.onnx", Path(place) / "photos"
        write_network(network, args.network)
        write_jpegs(folder, args.files)
        session = turns.Session(args.rounds, 0.0, 0.0)
        sides = {side: partial(speed, side, network, folder) for side in (OURS, PEER)}
        measured = session.take_turns(sides, unit="images/s")
        what = f"{args.network}, {args.files:,} JPEGs"
        yield turns.row_of_rounds(what, measured, OURS, PEER, unit="images/s", digits=1)
        measured.stop()
        write_network(network, SMALL)
        peaks = []
        for count in (args.many // 10, args.many):
            write_jpegs(Path(place) / str(count), count)
            peaks.append(peak_megabytes(network, Path(place) / str(count)))
        yield turns.row(
            f"{SMALL}, peak memory with {args.many:,} JPEGs",
            peaks[1],
            peaks[0],
            peer_name=f"{args.many // 10:,} JPEGs",
            unit="MB",
            less_is_better=True,
            digits=0,
        )


def main() -> None:
    """Print the rows."""
    if sys.argv[1:2] == ["--loop"]:
        loop(*sys.argv[2:])
        return
    parser = turns.parser(__doc__, rounds=3)
    parser.add_argument("--network", default="resnet18", help="a name of residua; by default resnet18")
    parser.add_argument("--files", type=int, default=2000, help="JPEGs; by default 2000")
    parser.add_argument("--many", type=int, default=20_000, help="JPEGs for the memory; by default 20000")
    args = parser.parse_args()
    turns.show(rows(args), as_json=args.json)


if __name__ == "__main__":
    main()
