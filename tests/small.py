"""Networks, recipes, images and runs so small that a test can train them."""

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from residua.data.images import ImageDataset, Images
from residua.events import Event
from residua.runs import checkpoint
from residua.runs.run import Run, create, open_run
from residua.spec import zoo
from residua.spec.arch import Arch, Head
from residua.spec.augment import Augment
from residua.spec.block import Block, Conv
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Budget, Data, Optim, Plan, Recipe, Schedule
from residua.spec.record import to_json
from residua.tasks.classify.learn_task import ClassifyLearn
from residua.training.network import initial_network
from residua.training.session import TrainingSession
from residua.weights.store import read

PIXELS = Preprocess(12, 12, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PLAN = Plan("cpu", "contiguous", "float32", 1)


def arch(classes: int = 3, *, drop: bool = False) -> Arch:
    """Two blocks, one with a projection; with `drop`, a dropout before the last layer.

    Its projection reads 16 channels: with fewer, the plan would leave out channels_last.
    """
    stages = (
        (Block("(CNA CN)A", (Conv(16), Conv(16)), "CN"),),
        (Block("(CNA CN)A", (Conv(16, 3, 2), Conv(16)), "CN"),),
    )
    head = Head("DL") if drop else Head()
    return Arch("tiny", "tiny", "tests", Block("CNA", (Conv(16),)), stages, "", head, classes, PIXELS)


def recipe(source: str = "colours", **changes: Any) -> Recipe:
    """Three epochs of four steps for the 24 training images of `colours()`."""
    default = Recipe(
        "tests",
        arch(),
        Data(source, num_workers=0),
        Augment("pad_crop", pad=1),
        Optim(lr=0.05, momentum=0.9, nesterov=True),
        Schedule("cosine", warmup=0.2),
        Budget(epochs=3, batch_size=6, save_seconds=1000.0),
        PLAN,
    )
    return replace(default, **changes)


def randomise_norms(network: nn.Module) -> None:
    """Give norms and their statistics random values: fresh ones change nothing, whatever reads them."""
    for name, value in network.state_dict().items():
        if "norm" in name and value.is_floating_point():
            value.copy_(torch.rand(value.shape) / 2 + (0.5 if "var" in name or "weight" in name else 0))


def convnet(source: str) -> Recipe:
    """The stacked convnet, whose head drops values at random; three epochs of three steps."""
    network = replace(zoo.arch("smallconvnet"), classes=3)
    return recipe(source, arch=network, budget=Budget(epochs=3, batch_size=8, save_seconds=1000.0))


def file_of(run_recipe: Recipe, path: Path) -> Path:
    """`run_recipe` as a file for `--recipe`."""
    path.write_text(to_json(run_recipe))
    return path


COLOURS = {"blue": (30, 60, 220), "green": (40, 200, 60), "red": (220, 50, 40)}


def picture(colour: str, seed: int, side: int = 12) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One noisy picture, mostly of its colour."""
    noise = np.random.default_rng(seed).normal(0, 40, (side, side, 3))
    return np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)


def photo_folder(root: Path, *, count: int = 8, side: int = 12, colours: Iterable[str] = COLOURS) -> Path:
    """`root/COLOUR/N.png`, every third one a JPEG."""
    for place, colour in enumerate(COLOURS):
        if colour not in colours:
            continue
        (root / colour).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.fromarray(picture(colour, 1000 * place + number, side))
            suffix = "png" if number % 3 else "jpg"
            image.save(root / colour / f"{number:02}.{suffix}", quality=95)
    return root


def split_folder(root: Path, *, train: int = 8, val: int = 4, side: int = 12) -> Path:
    """`root/train/COLOUR/*` and `root/val/COLOUR/*`."""
    photo_folder(root / "train", count=train, side=side)
    photo_folder(root / "val", count=val, side=side)
    return root


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def colours() -> ImageDataset:
    """24 images to learn from and 10 to judge by, in memory."""
    return ImageDataset(
        "colours", _images("train", 8), _images("test", 4, 10), grey=False, size=12, note="colours"
    )


def _images(name: str, count: int, most: int = 1000) -> Images:
    pairs = [(label, colour, n) for n in range(count) for label, colour in enumerate(COLOURS)][:most]
    pixels = np.stack([picture(colour, 100 * len(name) + 10 * n + label) for label, colour, n in pairs])
    return Images(name, tuple(COLOURS), np.array([label for label, _, _ in pairs]), pixels=pixels)


Stop = Callable[[], bool]


def never() -> bool:
    """For runs that are not interrupted."""
    return False


def after(asks: int) -> Stop:
    """Says stop from the `asks`-th time on that it is asked."""
    calls = iter(range(1, 1_000_000))
    return lambda: next(calls) >= asks


def go(run: Run, dataset: ImageDataset, stop: Stop = never) -> list[Event]:
    """Train `run` until its end or `stop`, in this process; what was told."""
    run_recipe = run.recipe
    with run.lock():
        fit = TrainingSession(
            run, initial_network(run_recipe, dataset.train.classes), dataset, ClassifyLearn(), stop=stop
        )
        return list(fit.events())


def fresh(path: Path, run_recipe: Recipe, dataset: ImageDataset, stop: Stop = never) -> Run:
    """A new run at `path`, trained until its end or `stop`."""
    run = create(path, run_recipe, identity={})
    go(run, dataset, stop)
    return run


def weights(run: Run | Path) -> str:
    """SHA-256 of every tensor of the newest state: weights, running statistics and momenta."""
    run = open_run(run) if isinstance(run, Path) else run
    tensors, _ = read(checkpoint.list_checkpoints(run.checkpoints)[0])
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def rows(run: Run | Path) -> list[dict[str, Any]]:
    """The metrics without the one thing that depends on the machine's mood."""
    run = open_run(run) if isinstance(run, Path) else run
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in run.metrics]


def flip(path: Path, *, at: float = 0.7) -> None:
    """Change one bit of the file, `at` that share of its length."""
    raw = bytearray(path.read_bytes())
    raw[int(at * len(raw))] ^= 4
    path.write_bytes(raw)


def difference(run: Run, other: Run) -> float:
    """Largest difference between two numbers of their last states."""
    mine, theirs = (read(max(r.checkpoints.iterdir()))[0] for r in (run, other))
    assert mine.keys() == theirs.keys()
    return max(float((value - theirs[name]).abs().max()) for name, value in mine.items())
