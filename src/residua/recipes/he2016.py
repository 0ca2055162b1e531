"""Recipes of He et al. 2016 (its appendix); what differs from the paper is said in each docstring."""

from residua.recipes.he2015 import CIFAR_STEPS, WARM_UP_STEPS, scales
from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Recipe, Schedule


def cifar(arch: Arch, source: str) -> Recipe:
    """Appendix: as He et al. 2015, and every run begins with 400 updates at 0.01.

    SGD 0.1, momentum 0.9, decay 0.0001, batch 128, a tenth at 32k and 48k updates, shift and flip. The
    length, 64k updates, and the mean of every pixel, which is subtracted, are those of He et al. 2015, and so
    is what `he2015.cifar` does otherwise: division by the channel's deviation, torch's momentum.
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
    """Appendix: as He et al. 2015, 0.1 without warm-up, a tenth after 30 and 60 epochs, batch 256.

    The mean of every pixel is subtracted, as there, and what `he2015.imagenet` does otherwise is done here,
    too. The paper does not state the length; ours is 90 epochs. The scale and aspect augmentation of one row
    of its table 5 is not this one: that is augment.kind=resized_crop.
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
