"""How others fine-tune: a plain loop, fastai's fine_tune and timm's parts, on the same files and weights."""

import random
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from residua.data.eval_view import eval_view
from residua.nn.network import Network, build
from residua.spec import change
from residua.spec.preprocess import Preprocess
from residua.training.processes import world
from residua.weights.load import load
from residua.weights.named import open_weights

EPOCHS = 30
"""Passes over the training images, of all peers."""
BATCH = 32


@dataclass(frozen=True)
class Job:
    """What every method gets."""

    folder: Path
    """`train/CLASS/*` and `val/CLASS/*`; the latter is the test set."""
    weights: Path
    pixels: int
    seed: int

    def classes(self) -> list[str]:
        return sorted(folder.name for folder in (self.folder / "train").iterdir())

    def train_files(self) -> list[Path]:
        return sorted((self.folder / "train").glob("*/*"))

    def test_files(self) -> list[Path]:
        return sorted((self.folder / "val").glob("*/*"))

    @property
    def network_name(self) -> str:
        return str(open_weights(str(self.weights)).arch.name)  # type: ignore[union-attr]

    def network(self) -> Network:
        """The network of the weights with a new last layer, seeded."""
        torch.manual_seed(self.seed)
        np.random.seed(self.seed)
        random.seed(self.seed)
        opened = open_weights(str(self.weights))
        assert opened.arch is not None
        assert opened.preprocess is not None
        arch = change.with_size(change.with_preprocess(opened.arch, opened.preprocess), self.pixels)
        network = build(change.with_classes(arch, len(self.classes())))
        load(network, opened.path, source=opened.dialect)
        return network

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each channel that the source network was trained with."""
        preprocess = self.network().preprocess
        return preprocess.mean, preprocess.std


@dataclass(frozen=True)
class Outcome:
    """What came of a turn."""

    seconds: float
    hits: str
    note: str = ""


def hits(right: Tensor | list[bool]) -> str:
    return "".join(str(int(one)) for one in right)


def plain_loop(job: Job) -> Outcome:
    """The loop that people write first: whole set in memory, padded crops, flips, AdamW 3e-3, one cycle."""
    began = time.perf_counter()
    network, size = job.network(), job.pixels
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in job.statistics())

    def read(files: list[Path]) -> tuple[Tensor, Tensor]:
        preprocess = Preprocess(size, size, (0.5,) * 3, (0.5,) * 3)
        views = [eval_view(Image.open(file).convert("RGB"), preprocess) for file in files]
        labels = torch.tensor([job.classes().index(file.parent.name) for file in files])
        return (torch.from_numpy(np.stack(views)) / 255 - mean) / std, labels

    images, labels = read(job.train_files())
    border = size // 8
    steps = EPOCHS * -(-len(labels) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    network.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(BATCH):
            x = pad(images[batch], (border,) * 4, mode="reflect")
            top, left = torch.randint(0, 2 * border + 1, (2,)).tolist()
            x = x[:, :, top : top + size, left : left + size]
            x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
            loss = cross_entropy(network(x), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    images, labels = read(job.test_files())
    with torch.inference_mode():
        answers = torch.cat([network(x).argmax(1) for x in images.split(100)])
    return Outcome(time.perf_counter() - began, hits(answers == labels))


def fastai(job: Job) -> Outcome:
    """fastai's own Learner.fine_tune: its head, augmentation, discriminative rates; batch 32, not validated.

    The body is split in two groups of layers before the last stage, as fastai splits a ResNet.
    """
    import fastai.callback.schedule  # noqa: F401 (adds fine_tune to Learner)
    from fastai.callback.core import Callback, CancelValidException
    from fastai.data.transforms import Normalize
    from fastai.layers import params
    from fastai.losses import CrossEntropyLossFlat
    from fastai.torch_core import set_seed
    from fastai.vision.augment import Resize, aug_transforms
    from fastai.vision.data import ImageDataLoaders
    from fastai.vision.learner import Learner, create_head

    class WithoutValidation(Callback):
        def before_validate(self) -> None:
            if self.training_only:
                raise CancelValidException

        training_only = True

    began = time.perf_counter()
    network = job.network()
    set_seed(job.seed)
    batches = ImageDataLoaders.from_folder(
        job.folder,
        valid="val",
        item_tfms=Resize(job.pixels),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(*job.statistics())],
        bs=min(BATCH, len(job.train_files())),
        num_workers=world.available_cores(),
    )
    stages = list(network.stages)
    lower, upper = nn.Sequential(network.stem, *stages[:-1]), nn.Sequential(stages[-1], network.tail)
    whole = nn.Sequential(nn.Sequential(lower, upper), create_head(network.num_features, len(job.classes())))
    for layer in whole[1].modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    skip = WithoutValidation()
    learner = Learner(
        batches,
        whole,
        loss_func=CrossEntropyLossFlat(),
        splitter=lambda model: [params(model[0][0]), params(model[0][1]), params(model[1])],
        cbs=skip,
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(EPOCHS)
        skip.training_only = False
        files = job.test_files()
        scores, _ = learner.get_preds(dl=batches.test_dl(files))
    names = [batches.vocab[place] for place in scores.argmax(1).tolist()]
    right = [name == file.parent.name for name, file in zip(names, files, strict=True)]
    return Outcome(time.perf_counter() - began, hits(right))


def timm(job: Job) -> Outcome:
    """timm's parts put together as its train.py does.

    Optimizer and decay are those of its published fine-tuning (AdamW, weight decay 0.01, layer decay 0.8,
    clipped to norm 1, cosine, warm-up by update); the learning rate 1e-3 and crops from 0.35 of the area are
    ours, because its own are for large transformers.
    """
    from timm.data import ImageDataset, create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import dispatch_clip_grad, random_seed

    began = time.perf_counter()
    network, (mean, std) = job.network(), job.statistics()
    random_seed(job.seed)
    common = {"input_size": (3, job.pixels, job.pixels), "use_prefetcher": False, "mean": mean, "std": std}
    dataset = ImageDataset(str(job.folder / "train"))
    loader = create_loader(
        dataset,
        batch_size=min(BATCH, len(dataset)),
        is_training=True,
        scale=(0.35, 1.0),
        num_workers=world.available_cores(),
        **common,
    )
    optimizer = create_optimizer_v2(network, opt="adamw", lr=1e-3, weight_decay=0.01, layer_decay=0.8)
    scheduler, epochs = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=EPOCHS,
        warmup_epochs=EPOCHS // 10,
        warmup_lr=0.0,
        step_on_epochs=False,
        updates_per_epoch=len(loader),
    )
    loss_fn, updates = LabelSmoothingCrossEntropy(0.1), 0
    network.train()
    for _ in range(epochs):
        for images, labels in loader:
            loss = loss_fn(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            dispatch_clip_grad(network.parameters(), 1.0)
            optimizer.step()
            updates += 1
            scheduler.step_update(updates)
    del loader
    network.eval()
    test = ImageDataset(str(job.folder / "val"))
    tested = create_loader(test, batch_size=100, is_training=False, crop_pct=1.0, num_workers=0, **common)
    with torch.inference_mode():
        right = torch.cat([network(images).argmax(1) == labels for images, labels in tested]).tolist()
    by_path = {Path(test.reader.filename(i, absolute=True)): one for i, one in enumerate(right)}
    return Outcome(time.perf_counter() - began, hits([by_path[file] for file in job.test_files()]))


PEERS: dict[str, Callable[[Job], Outcome]] = {"loop": plain_loop, "fastai": fastai, "timm": timm}
LABELS = {
    "loop": "plain loop, AdamW 3e-3, one cycle, batch 32",
    "fastai": "fastai's fine_tune",
    "timm": "timm's parts, fine-tuning flags",
}
warnings.filterwarnings("ignore", message=".*torch.jit.*")
