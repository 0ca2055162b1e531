"""Both protocols against averages computed by hand, and the conclusion of the report."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import small
from residua.data.images import Images
from residua.data.metadata import MetadataLeak
from residua.data.transforms import normalise
from residua.data.video import frame_choice
from residua.data.video.clips import CLIP as GATE
from residua.data.video.clips import ClipFrames
from residua.errors import NonFiniteError
from residua.measure.evaluate import evaluate
from residua.measure.evaluation import Evaluation
from residua.measure.views import CLIP, VIDEO
from residua.nn.network import Network, build
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.preprocess import Preprocess
from residua.tasks.video.pages import conclusion
from residua.tasks.video.predictor import ClipPredictor
from residua.tasks.video.protocol import CLIPS, ClipProtocol, describe_clips

PIXELS = Preprocess(12, 16, (0.5,) * 3, (0.5,) * 3)
FRAMES = 11


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    arch = inflate(replace(small.arch(), preprocess=PIXELS), Clip(3, 2))
    return build(arch).eval()


@pytest.fixture
def footage() -> ClipFrames:
    frames = np.random.default_rng(0).integers(0, 256, (5, FRAMES, 16, 16, 3), dtype=np.uint8)
    images = Images(
        "val",
        ("a", "b", "c"),
        np.arange(5) % 3,
        pixels=frames.reshape(5, FRAMES * 16, 16, 3),
        media_type=GATE,
    )
    return ClipFrames(images, PIXELS)


def clip_probabilities(network: Network, frames: np.ndarray) -> np.ndarray:
    """Probabilities of one clip (T, S, S, C)."""
    clip = torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None]
    with torch.inference_mode():
        probabilities: np.ndarray = torch.softmax(network(normalise(clip, PIXELS)), 1)[0].numpy()
    return probabilities


def test_video_level_is_the_mean_of_thirty_clips(network: Network, footage: ClipFrames) -> None:
    evaluation = evaluate(ClipPredictor(network, small.PLAN), footage, ClipProtocol(VIDEO))
    for i in range(5):
        frames = footage.images.pixels[i].reshape(FRAMES, 16, 16, 3)  # type: ignore[index]
        room = FRAMES - 5
        rows = []
        for k in range(10):
            start = min(room, int(k / 9 * (room + 1)))
            for left in (0, 2, 4):
                rows.append(
                    clip_probabilities(network, frames[start : start + 5 : 2, 2:14, left : left + 12])
                )
        assert np.allclose(evaluation.probabilities[i], np.mean(rows, 0), atol=1e-5)
    assert evaluation.labels.tolist() == [0, 1, 2, 0, 1]


def test_clip_level_is_the_middle(network: Network, footage: ClipFrames) -> None:
    evaluation = evaluate(ClipPredictor(network, small.PLAN), footage, ClipProtocol(CLIP))
    frames = footage.images.pixels[2].reshape(FRAMES, 16, 16, 3)  # type: ignore[index]
    assert np.allclose(
        evaluation.probabilities[2], clip_probabilities(network, frames[3:8:2, 2:14, 2:14]), atol=1e-5
    )


def test_a_network_with_nan_outputs_is_refused(network: Network, footage: ClipFrames) -> None:
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(NonFiniteError):
        evaluate(ClipPredictor(network, small.PLAN), footage, ClipProtocol(CLIP))


def test_a_score_names_frames_stride_rate_and_views(network: Network) -> None:
    described = describe_clips(network.arch, 25.0, CLIP)
    assert re.search("3 frames .*every 2 .*25 a second; 1 view$", described)
    assert describe_clips(network.arch, 0.0, VIDEO).endswith("; 10 x 3 views")
    assert len(CLIPS[VIDEO]) == 30
    assert [view.position for view in CLIPS[CLIP]] == [frame_choice.MIDDLE]


@pytest.mark.parametrize(
    ("right", "metadata", "says"),
    [
        (23, 71.0, "more than chance"),
        (19, 71.0, "does not prove"),
        (14, 71.0, "no better .*metadata alone"),
        (12, None, "no better .*majority class"),
    ],
)
def test_the_conclusion_claims_no_more_than_the_interval_allows(
    right: int, metadata: float | None, says: str
) -> None:
    probabilities = np.zeros((24, 2), np.float32)
    labels = np.arange(24) % 2
    guesses = np.where(np.arange(24) < right, labels, 1 - labels)
    probabilities[np.arange(24), guesses] = 1
    images = Images("test", ("a", "b"), labels, pixels=np.zeros((24, 1, 1, 1), np.uint8))
    score = replace(Evaluation.from_probabilities(probabilities, images), protocol=VIDEO).score
    alone = MetadataLeak(metadata, 50.0, 96, ("frame rate",)) if metadata else None
    assert re.search(says, conclusion(score, alone, 50.0)[0])
