"""Decoding of clips beside PyAV and torchvision, and training of resnet3d18 beside r3d_18, as ratios.

Decoding is described in clips.py; of training, resnet3d18 is torchvision's r3d_18, in a plain loop.

The peer is what people write first: torchvision's network, float32, clips normalised on the way, SGD. Ours is
`residua.training` with the plan it measures for this machine. Both read the same clips from memory, so that
reading files does not count. Pixels are random: speed does not depend on them.
"""

import argparse
import itertools
from collections.abc import Generator, Iterator
from pathlib import Path

import clips as files
import loops
import numpy as np
import torch
import turns
from torch import Tensor
from torchvision.models.video import r3d_18

from residua.data.batches import Batch
from residua.jobs.models import arch_of
from residua.recipes import quick
from residua.spec.arch import Arch
from residua.spec.recipe import Plan, Recipe
from residua.training.losses import make_loss_fn

BATCHES = 4
"""Batches in memory, read again and again."""
CLASSES = 400


def random_clips(arch: Arch, batch: int) -> list[tuple[Tensor, Tensor]]:
    """Clips (N, C, T, H, W) uint8 and their labels."""
    draw = torch.Generator().manual_seed(0)
    shape = (batch, *arch.input_shape)
    return [
        (
            torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw),
            torch.randint(0, CLASSES, (batch,), generator=draw),
        )
        for _ in range(BATCHES)
    ]


def mine(recipe: Recipe, clips: list[tuple[Tensor, Tensor]], batch: int, *, eager: bool) -> loops.Loop:
    """residua's loop on `clips`."""

    def batches(plan: Plan) -> Generator[Batch, None, None]:
        for pixels, labels in itertools.cycle(clips):
            yield Batch(pixels.to(plan.device), labels.to(plan.device), np.arange(batch), 0)

    def batches_and_loss(plan: Plan) -> loops.Fed:
        return batches(plan), make_loss_fn(recipe.arch.preprocess, plan, recipe.optim.label_smoothing)

    return loops.begun(recipe, tuple(map(str, range(CLASSES))), batch, batches_and_loss, eager=eager)


def normalised(arch: Arch, clips: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The same as the plain loop reads them, once through."""
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1, 1) for values in (arch.preprocess.mean, arch.preprocess.std)
    )
    for pixels, labels in clips:
        yield (pixels.float() / 255 - mean) / std, labels


class Plain:
    """`normalised`, as often as it is asked for."""

    def __init__(self, arch: Arch, clips: list[tuple[Tensor, Tensor]]) -> None:
        self.arch, self.clips = arch, clips

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return normalised(self.arch, self.clips)


def training(args: argparse.Namespace, session: turns.Session) -> turns.Rows:
    """Clips per second of training."""
    arch = arch_of("resnet3d18", frames=args.frames, img_size=args.size, num_classes=CLASSES)
    clips = random_clips(arch, args.batch)
    peer = loops.plain(r3d_18(num_classes=CLASSES), Plain(arch, clips))
    what = f"resnet3d18 training, {args.frames} frames of {args.size} px"
    own = mine(quick.photos(arch, "random"), clips, args.batch, eager=args.eager)
    peers = [loops.Loop("torchvision's r3d_18 in a plain loop, float32", peer.begin)]
    yield from loops.compare(what, own, peers, session, batch=args.batch, unit="clips/s")


def rows(args: argparse.Namespace) -> turns.Rows:
    """Decoding, then training."""
    session = turns.Session.of(args)
    if args.only != "train":
        yield from files.rows(args, session)
    if args.only != "decode":
        yield from training(args, session)


def main() -> None:
    """Print the comparison."""
    parser = turns.parser(__doc__, rounds=7, seconds=8.0, each="each turn")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--eager", action="store_true", help="ours is not compiled, whatever the plan says")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--only", choices=["decode", "train"], help="one of the two halves")
    parser.add_argument("--source", type=Path, help="folder of classes of clips in place of those made here")
    parser.add_argument("--clips", type=int, default=48, help="clips to make")
    parser.add_argument("--length", type=int, nargs="+", default=[10, 2], help="seconds of each, set by set")
    args = parser.parse_args()
    turns.show(rows(args), "torchvision", "av", as_json=args.json)


if __name__ == "__main__":
    main()
