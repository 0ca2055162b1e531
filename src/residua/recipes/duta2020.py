"""Recipes of Duta et al. 2020, from the authors' code: the text of the paper was not available."""

from dataclasses import replace

from residua.recipes import he2016
from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Recipe, Schedule

TORCHVISION_AREA = (0.08, 1.0)
"""Fraction of the image in the authors' `RandomResizedCrop(224)`: torchvision's default."""


def imagenet(arch: Arch, source: str) -> Recipe:
    """ImageNet with the schedule of the authors' main.py (Duta et al. 2020).

    SGD with learning rate 0.1, momentum 0.9, weight decay 0.0001 on all weights, batch size 256, 90 epochs;
    the learning rate drops to a tenth after 30, 60 and 80 epochs; no warm-up, no label smoothing.
    Augmentation: crops of random area, and flip.

    Differences from the code: its loop steps the schedule first, which in today's PyTorch would drop the
    learning rate one epoch early; here it drops as stated. The optional dropout before the classifier, 0 by
    default, is left out.
    """
    return Recipe(
        "duta2020.imagenet",
        arch,
        Data(source),
        Augment("resized_crop", area=TORCHVISION_AREA),
        Optim(lr=0.1, momentum=0.9, weight_decay=1e-4),
        Schedule("step", drops=(30 / 90, 60 / 90, 80 / 90)),
        Budget(epochs=90, batch_size=256),
    )


def cifar(arch: Arch, source: str) -> Recipe:
    """Ours, not the paper's: no source states how its CIFAR networks were trained. It is `he2016.cifar`."""
    return replace(he2016.cifar(arch, source), name="duta2020.cifar (ours)")
