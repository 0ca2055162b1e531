"""Networks that have the same tensors and compute something else, and which of them weights were trained as.

The shortcuts of option A have no weights. So a network with zeros on both sides of the channels, one with
zeros after them and one without shortcuts fit the same files. The running statistics of the norms tell which:

    noise -> each network, every norm normalises by the statistics of its own batch
          -> how far these are from the running ones in the file, as a Kullback-Leibler divergence

In the network that was trained even noise comes near them; in another one the sums before the norms differ.
Measured on three networks of akamaster and four of a-martyn for CIFAR-10: the right one has 0.01 to 0.05 nats
for each channel, the wrong ones 1.8 times as many or more.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from residua.nn.network import Network, build
from residua.spec.arch import Arch
from residua.spec.block import Block
from residua.spec.change import with_shortcut
from residua.spec.word import PADS

IMAGES, SIDE = 16, 96
"""Images of noise, and the most pixels along a side: enough for every norm, and a moment of work."""
MARGIN = 1.3
"""Times that another network must be nearer for a warning; the least between right and wrong was 1.8."""
FIT = 0.1
"""Most distance of a network that can be the right one, in nats; twice that of the farthest measured. In the
first ten steps of training the running statistics are farther from every network, and tell nothing."""
SIDES: Mapping[str, str] = {"A": "zeros on both sides of the channels", "A_after": "zeros after the channels"}
"""Option -> its zeros in words."""
PLAIN = "no shortcuts"
"""A network whose blocks have no brackets, in words."""
PLAIN_WORD = "(CNA)+"
"""Pattern of a block without brackets that a residual one shares its tensors with."""


def same_tensors(arch: Arch) -> dict[str, Arch]:
    """The networks that share names and shapes with `arch` in files of others, `arch` itself included.

    Returns:
        `A`, `A_after` or `no shortcuts` -> network; empty where shortcuts have weights, or none change the
        width or the size.
    """
    blocks = [block for stage in arch.stages for block in stage]
    if not all(isinstance(block, Block) for block in blocks):
        return {}
    residual = arch if arch.residual_blocks() else _with_brackets(arch)
    if residual is None or not _has_only_zeros(residual):
        return {}
    family = {option: with_shortcut(residual, option) for option in SIDES}
    plain = arch if not arch.residual_blocks() else _without_brackets(arch)
    return {**family, **({PLAIN: plain} if plain else {})}


def kind_of(arch: Arch) -> str:
    """The key of `arch` itself among its `same_tensors`."""
    blocks = arch.residual_blocks()
    return next((option for option in SIDES if blocks and blocks[0].pads == _letter(option)), PLAIN)


def distances(family: Mapping[str, Arch], states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, float]:
    """How far the statistics of noise are from the running statistics of the norms, for each network.

    Args:
        family: What `same_tensors` returned.
        states: Key -> weights for that network, under its names; those without weights are left out.

    Returns:
        Key -> mean divergence for a channel, in nats; empty where weights have no running statistics, or were
        never trained.
    """
    measured = {}
    for kind, weights in states.items():
        state = {key: value.detach().cpu().float() for key, value in weights.items()}
        if not _has_statistics(state):
            return {}
        with torch.device("meta"):
            network = build(family[kind])
        network.load_state_dict(state, strict=False, assign=True)
        measured[kind] = _distance(network.eval())
    return measured


def clear_kind(measured: Mapping[str, float]) -> str:
    """The kind that weights were trained as, where it is clearly the nearest; empty where that is not clear.

    Args:
        measured: What `distances` returned.
    """
    if len(measured) < 2:
        return ""
    (nearest, distance), (_, second), *_ = sorted(measured.items(), key=lambda pair: pair[1])
    return nearest if distance < FIT and second > MARGIN * distance else ""


def note(kind: str, measured: Mapping[str, float]) -> str:
    """What the loading line says of a network with one kind of shortcut; empty for a plain one that fits.

    Args:
        kind: The kind that the weights were loaded into.
        measured: What `distances` returned.
    """
    alike = " and ".join(other for other in SIDES if other != kind)
    others = [other for other in measured if other != kind]
    if not others:
        return "" if kind == PLAIN else f"{_described(kind)}; {alike} would take the same tensors"
    nearest = min(others, key=lambda other: measured[other])
    numbers = f"{measured[kind]:.2f} against {measured[nearest]:.2f}"
    if clear_kind({kind: measured[kind], nearest: measured[nearest]}) == nearest:
        network = "the plain network" if nearest == PLAIN else f"the network with shortcut={nearest}"
        return (
            f"WARNING: the running statistics do not fit {_described(kind)}, "
            f"but {_described(nearest)} ({numbers}): create {network}"
        )
    if clear_kind(measured) != kind:
        return f"{_described(kind)}; {alike} would take the same tensors, and nothing tells which it was"
    if kind == PLAIN:
        return ""
    return f"{_described(kind)}; {alike} would take the same tensors but not fit the statistics ({numbers})"


def _described(kind: str) -> str:
    return f"option A with {SIDES[kind]}" if kind in SIDES else "a network without shortcuts"


def noise(images: int, channels: int, side: int) -> Tensor:
    """(images, channels, side, side): noise as photographs have it, with mean 0 and deviation 1.

    Its amplitude falls with the frequency, and its channels are alike.
    """
    random = torch.Generator().manual_seed(0)
    grey = torch.randn(images, 1, side, side, generator=random)
    colour = torch.randn(images, channels, side, side, generator=random)
    frequency = torch.fft.fftfreq(side)
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt()
    radius[0, 0] = 1 / side
    spectrum = torch.fft.fft2(0.9 * grey + 0.3 * colour) / radius
    coloured: Tensor = torch.fft.ifft2(spectrum).real
    return (coloured - coloured.mean()) / coloured.std()


@torch.no_grad()
def _distance(network: Network) -> float:
    """Mean over all norms, of the divergence of the statistics of noise from the running ones."""
    divergences: list[float] = []

    def normalise(norm: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        x, running_mean, running_var = inputs[0], norm.running_mean, norm.running_var + norm.eps
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3)) + norm.eps
        ratio = var / running_var
        shift = (mean - running_mean).square() / running_var
        divergences.append(float((ratio - 1 - ratio.log() + shift).mean() / 2))
        scale = (running_var / var).sqrt()
        place = running_mean - mean * scale
        return x * scale[:, None, None] + place[:, None, None]

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(normalise)
    side = min(SIDE, network.arch.preprocess.size)
    network.forward_features(noise(IMAGES, network.arch.channels, side))
    mean = sum(divergences) / len(divergences)
    return mean if math.isfinite(mean) else math.inf


def _has_statistics(state: Mapping[str, Tensor]) -> bool:
    """Whether any norm has running statistics other than those it starts with."""
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    return any(bool(mean.any()) for mean in means)


def _has_only_zeros(arch: Arch) -> bool:
    """Whether the shortcuts of `arch` add zeros and have no weights, and some add zeros."""
    width, changes = arch.stem.out(arch.width), False
    for block in (each for stage in arch.stages for each in stage):
        if not isinstance(block, Block) or not block.has_shortcut or not block.pads:
            return False
        if block.join.gate != "none" or set(block.shortcut) - {*PADS, "D"} or block.parts()[0][1]:
            return False
        changes |= bool(block.bridge(width)[0])
        width = block.out(width)
    return changes and not arch.is_flat and arch.clip is None


def _without_brackets(arch: Arch) -> Arch | None:
    """`arch` without shortcuts; None for other blocks than those of He et al. 2015."""
    return _each(arch, r"\((CNA)*CN\)A", lambda word: word.replace("(", "").replace(")", ""), "")


def _with_brackets(arch: Arch) -> Arch | None:
    """`arch`, a plain network, with option A; None for other blocks than those of He et al. 2015."""
    return _each(arch, PLAIN_WORD, lambda word: f"({word[:-1]})A", _letter("A"))


def _each(arch: Arch, pattern: str, change: Callable[[str], str], shortcut: str) -> Arch | None:
    stages = []
    for stage in arch.stages:
        words = [block.word.replace(" ", "") for block in stage]
        if not all(isinstance(block, Block) for block in stage) or not all(
            re.fullmatch(pattern, word) for word in words
        ):
            return None
        stages.append(
            tuple(
                replace(block, word=change(word), shortcut=shortcut, always=False)
                for block, word in zip(stage, words, strict=True)
                if isinstance(block, Block)
            )
        )
    return replace(arch, stages=tuple(stages))


def _letter(option: str) -> str:
    return dict(zip(SIDES, PADS, strict=True))[option]
