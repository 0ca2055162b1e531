"""What an epoch came to so far, counted on the device and by every process, and how fast."""

from dataclasses import replace

import torch

from residua.runs.checkpoint import Progress
from residua.training.loop import Moment
from residua.training.processes.world import World


class Tally:
    """The sums of the epoch under way; they are looked at only where `fold` says."""

    def __init__(self, start: Progress, *, device: str, world: World) -> None:
        """Go on from `start`."""
        self.progress, self.world, self.device = start, world, torch.device(device)
        self.seconds, self.images = 0.0, 0
        self._begin()

    def add(self, moment: Moment) -> None:
        """Count one update; the device need not have finished it."""
        self._loss += moment.loss.to(self._loss.dtype) * moment.images
        self._wrong += moment.wrong
        self._seen += moment.images

    def fold(self, step: int, seconds: float) -> Progress:
        """Progress after `step` updates, over all processes, `seconds` of work after the last fold."""
        loss, wrong, seen = self.world.sum(float(self._loss), float(self._wrong), float(self._seen))
        before = self.progress.seen
        self.progress = Progress(step, loss, int(wrong), int(seen))
        self.images += self.progress.seen - before
        self.seconds += seconds
        if self.world.size > 1:  # else sums go on where they are, so that their last bits do not depend on it
            self._begin()
        return self.progress

    def close(self) -> None:
        """The epoch is over."""
        self.progress = replace(self.progress, loss=0.0, wrong=0, seen=0)
        self._begin()

    @property
    def speed(self) -> float:
        """Training images per second since the start; 0 when none was seen."""
        return self.images / self.seconds if self.seconds else 0.0

    def _begin(self) -> None:
        """What this process adds to: rank 0 carries what was counted before."""
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        start = self.progress if self.world.leads else Progress()
        self._loss = torch.tensor(start.loss, dtype=kind, device=self.device)
        self._wrong = torch.tensor(start.wrong, device=self.device)
        self._seen = start.seen
