"""EpochTotals: loss, errors and images of the current epoch, summed on the device and over all processes."""

from dataclasses import replace

import torch

from residua.runs.checkpoint import Progress
from residua.training.loop import Moment
from residua.training.processes.world import World


class EpochTotals:
    """Sums over the current epoch. They stay on the device until `fold` reads them."""

    def __init__(self, start: Progress, *, device: str, world: World) -> None:
        """Continue from `start`."""
        self.progress, self.world, self.device = start, world, torch.device(device)
        self.seconds, self.images = 0.0, 0
        self._start_sums()

    def add(self, moment: Moment) -> None:
        """Add one update, without waiting for the device."""
        self._loss_sum += moment.loss.to(self._loss_sum.dtype) * moment.num_images
        self._num_wrong += moment.num_wrong
        self._num_images += moment.num_images

    def fold(self, step: int, seconds: float) -> Progress:
        """Read the sums. Collective: all processes must call it.

        Args:
            step: Updates made.
            seconds: Training time since the last call.

        Returns:
            The progress over all processes.
        """
        loss, wrong, images = self.world.sum(
            float(self._loss_sum), float(self._num_wrong), float(self._num_images)
        )
        before = self.progress.num_images
        self.progress = Progress(step, loss, int(wrong), int(images))
        self.images += self.progress.num_images - before
        self.seconds += seconds
        if (
            self.world.size > 1
        ):  # a single process goes on adding, so that the last bits do not depend on `fold`
            self._start_sums()
        return self.progress

    def end_epoch(self) -> None:
        """Set the sums to zero."""
        self.progress = replace(self.progress, loss_sum=0.0, num_wrong=0, num_images=0)
        self._start_sums()

    @property
    def images_per_second(self) -> float:
        """Training images per second since the start; 0 before the first."""
        return self.images / self.seconds if self.seconds else 0.0

    def _start_sums(self) -> None:
        """Start the sums of this process; process 0 carries those counted before."""
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        start = self.progress if self.world.is_main else Progress()
        self._loss_sum = torch.tensor(start.loss_sum, dtype=dtype, device=self.device)
        self._num_wrong = torch.tensor(start.num_wrong, device=self.device)
        self._num_images = start.num_images
