"""Recipes of He et al. 2016 (appendix); each docstring names the differences from the paper."""

from residua.recipes.he2015 import CIFAR_STEPS, WARM_UP_STEPS, scales
from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Recipe, Schedule


def cifar(arch: Arch, source: str) -> Recipe:
    """CIFAR with the paper's schedule (He et al. 2016, appendix): as He et al. 2015, and a warm-up.

    SGD with learning rate 0.01 for 400 steps, then 0.1; momentum 0.9, weight decay 0.0001, batch size 128;
    the learning rate drops to a tenth after 32k and 48k steps. Augmentation: shift and flip.

    Differences from the paper: it does not state the length; 64k steps and the subtracted mean of every pixel
    are those of He et al. 2015. As in he2015.cifar, each channel is divided by its standard deviation, and
    momentum is PyTorch's.
    """
    return Recipe(
        "he2016.cifar",
        arch,
        Data(source, subtract="pixel"),
        Augment("pad_crop", pad=4),
        Optim(lr=0.1, momentum=0.9, weight_decay=1e-4),
        Schedule(
            "step",
            warmup=WARM_UP_STEPS / CIFAR_STEPS,
            warmup_lr_factor=0.1,
            flat_warmup=True,
            drops=(0.5, 0.75),
        ),
        Budget(epochs=164, steps=CIFAR_STEPS, batch_size=128),
    )


def imagenet(arch: Arch, source: str) -> Recipe:
    """ImageNet with the paper's schedule (He et al. 2016, appendix): as He et al. 2015, with fixed drops.

    SGD with learning rate 0.1 without warm-up, a tenth after 30 and 60 epochs, batch size 256. The mean of
    every pixel is subtracted.

    Differences from the paper: it does not state the length; 90 epochs are ours. The other differences are
    those of he2015.imagenet. The scale and aspect augmentation of one row of the paper's table 5 is not this
    one; it is augment.kind=resized_crop.
    """
    return Recipe(
        "he2016.imagenet",
        arch,
        Data(source, subtract="pixel"),
        Augment("scale_crop", sides=scales(arch), colour=0.1),
        Optim(lr=0.1, momentum=0.9, weight_decay=1e-4),
        Schedule("step", drops=(30 / 90, 60 / 90)),
        Budget(epochs=90, batch_size=256),
    )
