"""Which frames of a video are read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from residua.data.video.frame_choice import equal_positions, even_positions, frame_numbers, random_positions
from residua.spec.clip import Clip

CLIPS = st.builds(Clip, frames=st.integers(1, 9), stride=st.integers(0, 5), segments=st.integers(1, 5))


@given(CLIPS, st.integers(1, 200), st.integers(0, 99))
def test_as_many_frames_as_the_clip_has_in_order(clip: Clip, count: int, index: int) -> None:
    numbers = frame_numbers(clip, count, random_positions(clip, 0, 0, index))
    assert len(numbers) == clip.total
    assert all(0 <= number < count for number in numbers)
    if clip.stride == 0:
        assert numbers == sorted(numbers)


@given(CLIPS, st.integers(60, 400), st.floats(0, 1))
def test_each_segment_stays_in_its_part_and_keeps_the_stride(clip: Clip, count: int, position: float) -> None:
    numbers = np.array(frame_numbers(clip, count, equal_positions(clip, position))).reshape(clip.segments, -1)
    for segment, row in enumerate(numbers):
        low, high = count * segment / clip.segments, count * (segment + 1) / clip.segments
        if clip.span <= high - low - 1 and clip.stride:
            assert low - 1 < row[0] <= row[-1] < high + 1
            assert set(np.diff(row)) <= {clip.stride}


def test_position_0_is_the_beginning_and_1_the_end() -> None:
    clip = Clip(4, 3)
    assert frame_numbers(clip, 20, [0.0]) == [0, 3, 6, 9]
    assert frame_numbers(clip, 20, [1.0]) == [10, 13, 16, 19]
    assert frame_numbers(clip, 20, [0.5]) == [5, 8, 11, 14], "the middle"


def test_a_short_video_repeats_its_last_frame() -> None:
    assert frame_numbers(Clip(4, 3), 7, [0.9]) == [0, 3, 6, 6]
    assert frame_numbers(Clip(3, 1), 1, [0.0]) == [0, 0, 0]


def test_without_a_stride_frames_are_spread_evenly() -> None:
    assert frame_numbers(Clip(4, 0), 40, [0.5] * 4) == [5, 15, 25, 35]
    assert frame_numbers(Clip(1, 1, 4), 40, [0.5] * 4) == [5, 15, 25, 35], "as temporal segments are"


def test_random_positions_are_keyed_and_reach_every_start() -> None:
    clip = Clip(4, 2)
    starts = {frame_numbers(clip, 12, random_positions(clip, 0, 0, i))[0] for i in range(200)}
    assert starts == set(range(12 - clip.span + 1))
    one, again, other = (random_positions(clip, 3, epoch, 5) for epoch in (1, 1, 2))
    assert one == again != other


def test_ten_views_begin_at_the_beginning_and_end_at_the_end() -> None:
    assert even_positions(1) == [0.5]
    positions = even_positions(10)
    assert (positions[0], positions[-1], len(positions)) == (0.0, 1.0, 10)
