"""What names and shapes do not tell: files of strangers, and networks that differ only in function."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from residua.errors import CheckpointError
from residua.spec import zoo
from residua.spec.arch import Arch, ways
from residua.spec.block import Block, Fork
from residua.spec.inflate import for_images
from residua.spec.record import from_plain, to_plain

STRANGERS = (
    (
        r"(layer\d+\.\d+\.)?prelu\.weight",
        "insightface's IResNet for faces, another network that shares its name with Duta's iResNet: "
        "load it with insightface",
    ),
    (
        r".*\bbottleneck_block\..+",
        "the invertible i-ResNet (Behrmann et al. 2019), another network: load it with its authors' code",
    ),
    (
        r"(layer\d+\.\d+\.)?conv\d+\.bias",
        "a network whose convolutions have a bias before their norm, as in ports from Caffe and Keras, "
        "which stride on the first 1x1: subtract each bias from the running mean of the norm behind it, "
        "drop it, and load the rest into the `_v1` network",
    ),
)
"""Pattern of a name that gives a file away, what the file is of, and what to do."""


def refuse_strangers(names: Iterable[str]) -> None:
    """CheckpointError, saying what they are of, when one of their `names` is known from another network."""
    for name in names:
        for pattern, meaning in STRANGERS:
            if re.fullmatch(pattern, name):
                raise CheckpointError(f"{name} is of {meaning}")


def refuse_another(facts: Mapping[str, Any], arch: Arch) -> None:
    """CheckpointError when a file of ours says that its network computes something else than `arch`.

    Classes, channels of the image and dropped shares may differ; and `arch` may be theirs, inflated.
    """
    if "arch" not in facts:
        return
    theirs = from_plain(Arch, facts["arch"])
    ours = arch if theirs.has_time else for_images(arch)
    if found := difference(theirs, ours):
        raise CheckpointError(
            f"the weights are of {theirs.name}, not {arch.name}: {found}: create it instead"
        )


def undecided(arch: Arch) -> str:
    """One clause naming networks of the family with the shapes of `arch` and another function; else empty."""
    known = arch if _shapes(arch) in _by_shapes() else for_images(arch)  # inflated, it has the twins it had
    twins = [name for name in _by_shapes().get(_shapes(known), ()) if difference(zoo.arch(name), known)]
    if not twins:
        return ""
    found = difference(zoo.arch(twins[0]), known)
    return (
        f"loaded as {arch.name}, though nothing in the file tells it from {' or '.join(twins)} ({found}): "
        "ask where it comes from"
    )


def difference(theirs: Arch, ours: Arch) -> str:
    """The first block that computes something else, `CNA CNA there, (CNA CN)A here`; empty when none does."""
    if theirs.has_time != ours.has_time:
        return "it reads clips there, images here" if theirs.has_time else "it reads images there, clips here"
    pairs = zip((theirs.stem, *theirs.blocks()), (ours.stem, *ours.blocks()), strict=False)
    for there, here in pairs:
        if _judging(to_plain(there)) != _judging(to_plain(here)):
            return f"{_said(there)} there, {_said(here)} here"
    if theirs.tail != ours.tail or len(theirs.blocks()) != len(ours.blocks()):
        return (
            f"{theirs.depth()} layers and tail {theirs.tail!r} there, {ours.depth()} and {ours.tail!r} here"
        )
    return ""


def _judging(plain: Any) -> Any:
    """A block as JSON values, without the dropping that only training knows."""
    if isinstance(plain, dict):
        return {name: _judging(value) for name, value in plain.items() if name != "drop"}
    if isinstance(plain, list):
        return [_judging(value) for value in plain]
    return re.sub("[DS ]", "", plain) if isinstance(plain, str) else plain


def _said(block: Block | Fork) -> str:
    around = f" around {way.shortcut}" if (way := ways(block)[0]).shortcut else ""
    strides = " ".join(str(conv.stride) for way in ways(block) for conv in way.convs)
    return f"{block.word}{around} with strides {strides}"


@cache
def _by_shapes() -> dict[tuple[str, ...], tuple[str, ...]]:
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for name in zoo.NAMES:
        shapes = _shapes(zoo.arch(name))
        found[shapes] = (*found.get(shapes, ()), name)
    return found


def _shapes(arch: Arch) -> tuple[str, ...]:
    """What others' files show of a network: convolutions and norms in order, but no strides."""
    parts = [f"{arch.family} {arch.tail} {arch.head.word}"]
    for block in (way for each in (arch.stem, *arch.blocks()) for way in ways(each)):
        letters = "".join(letter for letter in block.word if letter in "CN")
        convs = " ".join(f"{conv.out}x{conv.time}x{conv.kernel}/{conv.groups}" for conv in block.convs)
        shortcut = "".join(letter for letter in block.shortcut if letter in "PCN")
        parts.append(f"{letters} {convs} {shortcut} {block.always}")
    return tuple(parts)
