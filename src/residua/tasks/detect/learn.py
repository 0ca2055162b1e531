"""What a detector is asked to make small, in the plan's arithmetic."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from residua.data.transforms import normalise
from residua.spec.preprocess import Preprocess
from residua.spec.recipe import Plan
from residua.tasks.detect.batches import SceneBatch

Judge = Callable[[nn.Module, SceneBatch], tuple[Tensor, Tensor]]


def objective(preprocess: Preprocess, plan: Plan) -> Judge:
    """(network, batch) -> (sum of the detector's losses, 0): no image is right or wrong here."""
    device = torch.device(plan.device)
    layout = torch.channels_last if plan.memory_format == "channels_last" else torch.contiguous_format

    def judge(network: nn.Module, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        images = normalise(batch.images.to(device, non_blocking=True), preprocess)
        images = images.contiguous(memory_format=layout)
        targets = [
            {
                "boxes": torch.from_numpy(boxes.corners).to(device),
                "labels": torch.from_numpy(boxes.labels).to(device) + 1,
            }
            for boxes in batch.boxes
        ]
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            losses = network(images, torch.from_numpy(batch.sizes), targets)
        parts = list(losses.values())
        return sum(parts[1:], parts[0]), torch.zeros((), dtype=torch.int64, device=device)

    return judge
