"""Which frames are taken of a video, against rules that are spelled out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from residua.spec.clip import Clip
from residua.data.video import frame_choice

CLIPS = st.builds(Clip, frames=st.integers(1, 9), stride=st.integers(0, 5), segments=st.integers(1, 5))


@given(CLIPS, st.integers(1, 200), st.integers(0, 99))
def test_frames_are_there_in_order_and_as_many_as_wanted(clip: Clip, count: int, index: int) -> None:
    found = frame_choice.chosen(clip, count, frame_choice.at_random(clip, 0, 0, index))
    assert len(found) == clip.total
    assert all(0 <= number < count for number in found)
    if clip.stride == 0:
        assert found == sorted(found)


@given(CLIPS, st.integers(60, 400), st.floats(0, 1))
def test_each_segment_stays_in_its_stretch_and_keeps_the_stride(clip: Clip, count: int, share: float) -> None:
    found = np.array(frame_choice.chosen(clip, count, frame_choice.at(clip, share))).reshape(clip.segments, -1)
    for segment, row in enumerate(found):
        low, high = count * segment / clip.segments, count * (segment + 1) / clip.segments
        if clip.span <= high - low - 1 and clip.stride:
            assert low - 1 < row[0] <= row[-1] < high + 1
            assert set(np.diff(row)) <= {clip.stride}


def test_the_first_share_is_the_beginning_and_the_last_the_end() -> None:
    clip = Clip(4, 3)
    assert frame_choice.chosen(clip, 20, [0.0]) == [0, 3, 6, 9]
    assert frame_choice.chosen(clip, 20, [1.0]) == [10, 13, 16, 19]
    assert frame_choice.chosen(clip, 20, [0.5]) == [5, 8, 11, 14], "the middle"


def test_a_short_video_holds_its_last_frame() -> None:
    assert frame_choice.chosen(Clip(4, 3), 7, [0.9]) == [0, 3, 6, 6]
    assert frame_choice.chosen(Clip(3, 1), 1, [0.0]) == [0, 0, 0]


def test_without_a_stride_frames_are_spread_evenly() -> None:
    assert frame_choice.chosen(Clip(4, 0), 40, [0.5] * 4) == [5, 15, 25, 35]
    assert frame_choice.chosen(Clip(1, 1, 4), 40, [0.5] * 4) == [5, 15, 25, 35], "as temporal segments are"


def test_chance_is_keyed_and_reaches_every_start() -> None:
    clip = Clip(4, 2)
    starts = {frame_choice.chosen(clip, 12, frame_choice.at_random(clip, 0, 0, i))[0] for i in range(200)}
    assert starts == set(range(12 - clip.span + 1))
    one, again, other = (frame_choice.at_random(clip, 3, epoch, 5) for epoch in (1, 1, 2))
    assert one == again != other


def test_ten_views_begin_at_the_beginning_and_end_at_the_end() -> None:
    assert frame_choice.spread(1) == [0.5]
    shares = frame_choice.spread(10)
    assert (shares[0], shares[-1], len(shares)) == (0.0, 1.0, 10)
