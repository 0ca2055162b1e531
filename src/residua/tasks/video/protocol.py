"""Protocols: one clip of a video, or thirty; a video's answer is the mean of what is said of its clips."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from residua.data.images import Images
from residua.data.transforms import normalise
from residua.data.video import frame_choice, reader
from residua.data.video.clips import ClipFrames
from residua.errors import NonFiniteError
from residua.measure.evaluate import Judgement
from residua.measure.views import CLIP, PLACES, TIMES, VIDEO
from residua.nn.clips import layout
from residua.nn.network import Network
from residua.spec.arch import Arch
from residua.spec.recipe import Plan
from residua.tasks.video.batches import CROPS, MIDDLE, Look, clip_of, testing

LOOKS: Mapping[str, tuple[Look, ...]] = {
    CLIP: (MIDDLE,),
    VIDEO: tuple(Look(share, crop) for share in frame_choice.even_positions(TIMES) for crop in CROPS[1:]),
}
"""Name -> the clips of a video."""
TOGETHER = 8
"""Clips computed at once, at most; bounds the memory."""

_ASKED = 50  # clips that tell the frame rate of all


def judge(network: Network, footage: ClipFrames, plan: Plan, view: str, *, workers: int = 0) -> Judgement:
    """What `network` says of the videos of `footage` under `view`, each counted once.

    KeyError for an unknown view, NonFiniteError when the network says what is no number.
    """
    network.eval()
    looks = LOOKS[view]
    rows = []
    batch = max(1, TOGETHER // len(looks))
    for found in testing(footage, network.arch, batch=batch, workers=workers, looks=looks):
        said = probabilities(network, found.images, plan)
        rows.append(said.reshape(-1, len(looks), said.shape[1]).mean(1))
    return Judgement.of(np.concatenate(rows).astype(np.float32), footage.images.labels)


def probabilities(network: Network, clips: Tensor, plan: Plan) -> NDArray[np.float64]:
    """(n, C, T, S, S) uint8 -> (n, classes), rows sum to 1. NonFiniteError as from `judge`."""
    device, rows = torch.device(plan.device), []
    with torch.inference_mode():
        for start in range(0, len(clips), TOGETHER):
            some = clips[start : start + TOGETHER]
            images = normalise(some.to(device), network.preprocess)
            images = images.contiguous(memory_format=layout(plan.memory_format, images.ndim))
            with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
                rows.append(network(images).float().cpu())
        logits = torch.cat(rows)
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteError("the network says NaN or infinity: its weights are of no use")
        found: NDArray[np.float64] = torch.softmax(logits.double(), 1).numpy()
        return found


def rate(images: Images) -> float:
    """Median frames a second of some of `images`; 0 where they are not files."""
    places = np.linspace(0, len(images) - 1, min(_ASKED, len(images))).astype(int).tolist()
    return float(np.median(list(_rates(images, places)))) if images.files is not None else 0.0


def _rates(images: Images, places: list[int]) -> Iterator[float]:
    for place in places:
        item = images.item(place)
        yield reader.probe(item).fps  # type: ignore[arg-type]


def said(arch: Arch, frames_a_second: float, view: str) -> str:
    """What a score belongs to: frames, stride, frame rate and views, in one phrase."""
    clip = clip_of(arch)
    speed = f" of {frames_a_second:.3g} a second" if frames_a_second else ""
    shown = f"{TIMES} x {PLACES} views" if view == VIDEO else "1 view"
    return f"{clip.description}{speed}; {shown}"
