"""Recipes of Duta et al. 2020, from the authors' code where the text was not available."""

from dataclasses import replace

from residua.recipes import he2016
from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Recipe, Schedule

TORCHVISION_AREA = (0.08, 1.0)
"""Share of the image in the authors' `RandomResizedCrop(224)`: torchvision's own."""


def imagenet(arch: Arch, source: str) -> Recipe:
    """The authors' `main.py`: 90 epochs, batch 256, SGD 0.1, momentum 0.9, decay 0.0001 on everything.

    A tenth after 30, 60 and 80 epochs; no warm-up, no smoothing; crops of random area, and flip. Their loop
    steps its schedule first, which today's PyTorch would do one epoch early; here the rate falls when it
    says. The optional dropout before the classifier, 0 there by default, is left out.
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
