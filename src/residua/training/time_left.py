"""TimeLeft: how long a run still takes, predicted from its own steps, validations and checkpoints.

steps           the mean of the latest ones, without the first, which starts workers and warms up, and without
                a single one that took much longer than all others
end of epoch    validation and checkpoints: as measured, before the first by the number of images
checkpoints     between the ends of epochs, as often as the recipe says
"""

import math
from collections import deque

from residua.training.pace import VALIDATION_SHARE

WINDOW = 500
"""Intervals that count, the latest ones: the speed of a run changes with its images and its neighbours."""
MIN_INTERVALS = 5
"""Intervals from which a single slow one is left out."""
MAX_RATIO = 3.0
"""How many times longer than any other interval the one that is left out takes."""


class TimeLeft:
    """Predicts the seconds to the end of a run. It holds numbers alone and reads no clock."""

    def __init__(
        self,
        *,
        total: int,
        steps_per_epoch: int,
        batch_size: int,
        validation_images: int,
        save_seconds: float,
        start: int = 0,
    ) -> None:
        """Predict a run that has made `start` of `total` steps.

        Args:
            total: Steps of the run.
            steps_per_epoch: Steps of an epoch.
            batch_size: Images of a step.
            validation_images: Images that are evaluated at the end of an epoch.
            save_seconds: Seconds between two checkpoints within an epoch.
            start: Steps that were made before.
        """
        self._total, self._steps_per_epoch, self._batch_size = total, steps_per_epoch, batch_size
        self._validation_images, self._save_seconds = validation_images, save_seconds
        self._step, self._is_first = start, True
        self._intervals: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._epoch_ends: list[float] = []
        self._saves: list[float] = []

    def add_steps(self, step: int, seconds: float) -> None:
        """Add the seconds of the steps up to `step` since the last call."""
        if self._is_first:
            self._is_first = False
        else:
            self._intervals.append((step - self._step, seconds))
        self._step = step

    def add_save(self, seconds: float) -> None:
        """Add the seconds of a checkpoint within an epoch."""
        self._saves.append(seconds)

    def add_epoch_end(self, seconds: float) -> None:
        """Add the seconds of the checkpoints and the validation at the end of an epoch."""
        self._epoch_ends.append(seconds)

    @property
    def seconds(self) -> float:
        """Seconds to the end of the run after the steps that were added; 0 when unknown."""
        if not (step := self._step_seconds()):
            return 0.0
        epochs_before = max(0, self._step - 1) // self._steps_per_epoch
        ends_left = math.ceil(self._total / self._steps_per_epoch) - epochs_before
        share_of_saves = _mean(self._saves) / self._save_seconds if self._save_seconds else 0.0
        steps_left = (self._total - self._step) * step * (1 + share_of_saves)
        return steps_left + ends_left * self._end_seconds(step)

    def _step_seconds(self) -> float:
        """Mean seconds of a step; 0 before the second interval."""
        intervals = sorted(self._intervals, key=lambda interval: interval[1] / interval[0])
        if len(intervals) >= MIN_INTERVALS:
            (steps, seconds), (most_steps, most_seconds) = intervals[-2:]
            if most_seconds / most_steps > MAX_RATIO * seconds / steps:
                intervals.pop()
        count = sum(steps for steps, _ in intervals)
        return sum(seconds for _, seconds in intervals) / count if count else 0.0

    def _end_seconds(self, step: float) -> float:
        """Seconds at the end of an epoch, where a training step takes `step` seconds."""
        if self._epoch_ends:
            return _mean(self._epoch_ends)
        return VALIDATION_SHARE * step * self._validation_images / self._batch_size


def _mean(seconds: list[float]) -> float:
    return sum(seconds) / len(seconds) if seconds else 0.0
