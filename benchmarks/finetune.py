"""Fine-tuning on few photographs from real CIFAR-10 networks: ours beside what others write.

Sources are networks that their owners trained on CIFAR-10 (`shared/data/weights`); the photographs are sets
that they never saw. Which images test is decided by a hash of their names, before anything is measured. A
round is a seed, which draws the training images and everything random. Each method gets the same training
files and the same weights, and looks at the test images once. `seconds` are those of the whole call, from
files to the answers on the test images. Methods take turns, in an order that rotates.

scratch   residua.train without weights       loop    25 lines: AdamW 3e-3, one cycle, batch 32, crops, flips
probe     residua.train(recipe="probe")       fastai  its own fine_tune, with its head and augmentation
finetune  residua.train(recipe="finetune")    timm    timm's parts as in its train.py, fine-tuning flags
default   residua.train with weights alone

The three peers have 30 passes. A row gives accuracy in percent over all seeds, and the interval of the
difference over test images (the same images of all seeds together, by resampling). Turns are kept in
`--store`, so that an interrupted benchmark goes on, and parts add up: few pixels and few images come first.
`--table` prints what is there and measures nothing. fastai is measured where it is installed.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import finetune_peers as peers
import numpy as np
import turns
from PIL import Image

import residua
from residua.files import write_file
from residua.measure import resample

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Where the photographs and the weights are, beside a checkout of the project."""
NETS = {
    "resnet20.akamaster": "akamaster/resnet20-12fca82f.th",
    "resnet32.akamaster": "akamaster/resnet32-d509ac18.th",
    "resnet56.akamaster": "akamaster/resnet56-4bfd9763.th",
    "resnet20.a-martyn": "a-martyn/resnet20.pt",
    "resnet56.a-martyn": "a-martyn/resnet56.pt",
    "plain20.a-martyn": "a-martyn/plainnet20.pt",
    "plain56.a-martyn": "a-martyn/plainnet56.pt",
}
"""Name -> file under `weights`."""
SETS = ("caltech", "imagenette", "cells")
TEST_SHARE = 0.4
"""Share of each Caltech class that tests; the other two sets have a split of their own."""
RED_CELLS = 3
"""Red cells of an image, at most: it has up to thirty, and few of the other kinds."""
OURS = ("scratch", "probe", "finetune", "default")
METHODS = (*OURS, *peers.PEERS)
HEAD = ("task", "method", "right, % (95 %; each seed)", "ours minus it, points (95 %)", "seconds", "load")


@dataclass(frozen=True)
class Turn:
    """One method on one task."""

    net: str
    data: str
    pixels: int
    images: int
    """Training images of each class; 0 for all."""
    seed: int
    method: str
    seconds: float = 0.0
    hits: str = ""
    """1 for each test image that is right, else 0, in the order of their names."""
    note: str = ""
    """What the method chose."""
    load: float = 0.0
    """Processes that computed in the last minute, this one included: seconds of a busy machine say less."""

    @property
    def task(self) -> tuple[str, str, int, int]:
        return self.net, self.data, self.pixels, self.images

    @property
    def key(self) -> str:
        return "/".join(map(str, (*self.task, self.seed, self.method)))

    @property
    def accuracy(self) -> float:
        return 100 * self.hits.count("1") / len(self.hits)


def digest(*words: object) -> str:
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


def unpack(work: Path) -> None:
    """Caltech, Imagenette and BCCD as folders under `work`, once."""
    for name in ("caltech", "imagenette", "bccd"):
        if not (work / name).exists():
            partly = work / f"{name}.partly"
            shutil.rmtree(partly, ignore_errors=True)
            unpacker = [sys.executable, str(SHARED / "unpack.py"), str(partly), name]
            subprocess.run(unpacker, check=True, capture_output=True)
            (partly / name).rename(work / name)
            partly.rmdir()
    if not (work / "cells").exists():
        partly = work / "cells.partly"
        shutil.rmtree(partly, ignore_errors=True)
        for part, listed in (("train", "trainval"), ("val", "test")):
            cut_cells(work / "bccd", listed, partly / part)
        partly.rename(work / "cells")


def cut_cells(voc: Path, listed: str, to: Path) -> None:
    """Every box of a part of BCCD as a square picture, of red cells the first few of an image."""
    for stem in (voc / "ImageSets" / "Main" / f"{listed}.txt").read_text().split():
        image = Image.open(voc / "JPEGImages" / f"{stem}.jpg").convert("RGB")
        counts: dict[str, int] = {}
        for box in ElementTree.parse(voc / "Annotations" / f"{stem}.xml").iter("object"):
            name = str(box.findtext("name"))
            left, top, right, bottom = (
                int(str(box.findtext(f"bndbox/{side}"))) for side in ("xmin", "ymin", "xmax", "ymax")
            )
            counts[name] = counts.get(name, 0) + 1
            if right <= left or bottom <= top or (name == "RBC" and counts[name] > RED_CELLS):
                continue
            x, y, half = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) / 2
            square = image.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
            (to / name).mkdir(parents=True, exist_ok=True)
            square.save(to / name / f"{stem}_{counts[name]}.png")


def parts(data: str, work: Path) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Files of each class for training and for testing; decided by hashes of names alone."""
    root = work / data
    train, test = ((root / part if data != "caltech" else root) for part in ("train", "val"))
    pools = {folder.name: sorted(folder.iterdir()) for folder in sorted(train.iterdir())}
    if data != "caltech":
        return pools, {folder.name: sorted(folder.iterdir()) for folder in sorted(test.iterdir())}
    held: dict[str, list[Path]] = {}
    for name, files in pools.items():
        ranked = sorted(files, key=lambda file: digest(file.parent.name, file.name))
        count = round(TEST_SHARE * len(files))
        held[name], pools[name] = sorted(ranked[:count]), sorted(ranked[count:])
    return pools, held


def folder_of(turn: Turn, work: Path, to: Path) -> Path:
    """`to/{train,val}/CLASS/*`: the training images of a seed, and all test images."""
    pools, held = parts(turn.data, work)
    for part, classes in (("train", pools), ("val", held)):
        for name, files in classes.items():
            chosen = files
            if part == "train" and turn.images:
                chosen = sorted(files, key=lambda file: digest(turn.seed, file.name))[: turn.images]
            (to / part / name).mkdir(parents=True)
            for file in chosen:
                os.link(file, to / part / name / file.name)
    return to


def train_ours(job: peers.Job, method: str) -> peers.Outcome:
    """The public call, as a user writes it, and the answers of the run it gives."""
    began = time.perf_counter()
    run = residua.train(
        job.folder,
        model=job.network_name if method == "scratch" else None,
        weights=False if method == "scratch" else job.weights,
        recipe=method if method in ("probe", "finetune") else None,
        image_size=job.pixels,
        changes={"seed": job.seed},
        out=job.folder.parent / f"run-{method}",
        progress=False,
    )
    seconds = time.perf_counter() - began
    result = json.loads((run.path / "finished.json").read_text()).get("result", {})
    note = f"kept epoch {result['epoch']}" if "epoch" in result else ""
    predictor, files = residua.load(run.path), job.test_files()
    answers = [one.top()[0][0] for one in predictor([str(file) for file in files])]
    hits = "".join(str(int(name == file.parent.name)) for name, file in zip(answers, files, strict=True))
    return peers.Outcome(seconds, hits, note)


def measure(turn: Turn, work: Path, weights: Path) -> Turn:
    """One method on one task, in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        job = peers.Job(folder_of(turn, work, Path(place) / "set"), weights, turn.pixels, turn.seed)
        method = peers.PEERS.get(turn.method) or partial(train_ours, method=turn.method)
        outcome = method(job)
    load = round(os.getloadavg()[0], 1)
    return Turn(*turn.task, turn.seed, turn.method, outcome.seconds, outcome.hits, outcome.note, load)


def read_store(store: Path) -> dict[str, Turn]:
    if not store.exists():
        return {}
    return {turn.key: turn for turn in (Turn(**row) for row in json.loads(store.read_text()))}


def measured(args: argparse.Namespace, say: Callable[[str], None]) -> Iterator[list[Turn]]:
    """The turns of each task, once all seeds and methods of it are measured; every turn is stored at once."""
    store = store_of(args)
    args.work.mkdir(parents=True, exist_ok=True)
    unpack(args.work)
    done = read_store(store)
    methods = [name for name in args.methods if name != "fastai" or find_spec("fastai")]
    for task in tasks(args):
        wanted = []
        for seed in range(args.rounds):
            for method in turns.order(methods, seed):
                turn = Turn(*task, seed, method)
                if turn.key not in done:
                    done[turn.key] = measure(turn, args.work, SHARED / "weights" / NETS[turn.net])
                    write_file(store, json.dumps([asdict(each) for each in done.values()], indent=1))
                turn = done[turn.key]
                wanted.append(turn)
                say(f"{turn.key}: {turn.accuracy:.1f} % in {turn.seconds:.1f} s {turn.note}".rstrip())
        yield wanted


def store_of(args: argparse.Namespace) -> Path:
    return Path(args.store or args.work / "finetune_turns.json")


def tasks(args: argparse.Namespace) -> Iterator[tuple[str, str, int, int]]:
    """Network, data, pixels and images a class, the quickest first."""
    for net in args.nets:
        for pixels in args.pixels:
            for images in args.images:
                for data in args.data:
                    yield net, data, pixels, images


def table(args: argparse.Namespace) -> str:
    """Markdown of the finished turns, a row for each method of a task."""
    done = [turn for turn in read_store(store_of(args)).values() if turn.seed < args.rounds]
    lines = [HEAD, ("---",) * len(HEAD)]
    for task in tasks(args):
        of_task = [turn for turn in done if turn.task == task]
        for method in args.methods:
            if theirs := [turn for turn in of_task if turn.method == method]:
                lines.append(cells(theirs, [turn for turn in of_task if turn.method == args.ours]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(theirs: list[Turn], ours: list[Turn]) -> tuple[str, ...]:
    """One line: of a method of a task, beside ours with the same seeds."""
    net, data, pixels, images = theirs[0].task
    method, seeds = theirs[0].method, {turn.seed for turn in theirs} & {turn.seed for turn in ours}
    hits = hits_of(theirs, method)
    low, high = resample.mean(hits)
    each = ", ".join(f"{turn.accuracy:.1f}" for turn in sorted(theirs, key=lambda turn: turn.seed))
    difference = ""
    if seeds and method != ours[0].method:
        mine, other = ([turn for turn in side if turn.seed in seeds] for side in (ours, theirs))
        apart = hits_of(mine, mine[0].method) - hits_of(other, method)
        least, most = resample.mean(apart)
        difference = f"{apart.mean():+.1f} ({least:.1f} to {most:.1f})"
    return (
        f"{net}, {data} at {pixels} px, {images or 'all'} a class, n = {len(hits)}",
        label(method),
        f"{hits.mean():.1f} ({low:.1f} to {high:.1f}; {each})",
        difference,
        f"{seconds_of(theirs, method):.1f}",
        f"{max(turn.load for turn in theirs):.1f}",
    )


def hits_of(task: list[Turn], method: str) -> np.ndarray:
    """Share of seeds that are right on each test image, in percent: (test images,)."""
    return 100 * np.array([[int(hit) for hit in turn.hits] for turn in task if turn.method == method]).mean(0)


def rows(args: argparse.Namespace) -> turns.Rows:
    """Accuracy and seconds of ours beside each other method, task by task."""
    say = partial(print, file=sys.stderr, flush=True)
    for task in measured(args, say):
        names = list(dict.fromkeys(turn.method for turn in task))
        net, data, pixels, images = task[0].task
        what = f"{net}, {data} at {pixels} px, {images or 'all'} a class"
        ours = args.ours if args.ours in names else names[0]
        mine, seconds = hits_of(task, ours), seconds_of(task, ours)
        for other in names:
            if other == ours:
                continue
            theirs = hits_of(task, other)
            made = turns.row(
                f"{what}: {ours}, accuracy",
                mine.mean(),
                theirs.mean(),
                peer_name=label(other),
                unit="%",
                digits=1,
            )
            low, high = resample.mean(mine - theirs)
            own = resample.mean(mine)
            made |= {
                "difference": round(float((mine - theirs).mean()), 2),
                "difference_interval": [round(low, 2), round(high, 2)],
                "ours_interval": [round(end, 1) for end in own],
                "seeds": len([turn for turn in task if turn.method == ours]),
                "ours_by_seed": [round(turn.accuracy, 1) for turn in task if turn.method == ours],
                "peer_by_seed": [round(turn.accuracy, 1) for turn in task if turn.method == other],
            }
            yield made
            yield turns.row(
                f"{what}: {ours}, time",
                seconds,
                seconds_of(task, other),
                peer_name=label(other),
                unit="s",
                less_is_better=True,
                digits=1,
            )


def seconds_of(task: list[Turn], method: str) -> float:
    return statistics.median(turn.seconds for turn in task if turn.method == method)


def label(method: str) -> str:
    return peers.LABELS.get(method, f"our {method}")


def main() -> None:
    """Print the rows."""
    parser = turns.parser(__doc__, rounds=3)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["resnet20.akamaster"])
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--pixels", nargs="+", type=int, default=[32, 64])
    parser.add_argument("--images", nargs="+", type=int, default=[10, 25, 0], help="of a class; 0 for all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--ours", choices=OURS, default="default", help="the method that rows compare")
    parser.add_argument(
        "--work", type=Path, default=Path("build/finetune"), help="folder for images and runs"
    )
    parser.add_argument("--store", type=Path, help="file of finished turns; by default in --work")
    parser.add_argument("--table", action="store_true", help="print the finished turns, measure nothing")
    args = parser.parse_args()
    if args.table:
        print(table(args))
        return
    if not SHARED.exists():
        parser.error(f"there is no {SHARED}: photographs and weights are not part of the project")
    packages = [name for name in ("timm", "fastai") if find_spec(name)]
    turns.show(rows(args), *packages, as_json=args.json)


if __name__ == "__main__":
    main()
