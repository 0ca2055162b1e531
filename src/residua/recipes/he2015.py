"""Recipes of He et al. 2015, with section numbers; what differs from the paper is said in each docstring."""

from dataclasses import replace

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Recipe, Schedule

WARM_UP_DEPTH = 110
"""From this depth on the first updates run at a tenth of the rate (4.2)."""
WARM_UP_ERROR = 80.0
"""Training error, in percent, below which they end (4.2: "about 400 iterations")."""
WARM_UP_STEPS = 400
"""How long that took the authors (4.2)."""
CIFAR_STEPS = 64_000
"""Updates of a CIFAR-10 run (4.2)."""
SCALES = (256, 480)
"""Shortest and longest shorter side of an ImageNet picture in training, in pixels (3.4)."""
CROP = 224
"""Side of the crops from it, in pixels (3.4)."""


def cifar(arch: Arch, source: str) -> Recipe:
    """Section 4.2: SGD 0.1, momentum 0.9, decay 0.0001, batch 128, 64k updates, pad 4 and flip.

    The rate falls to a tenth at 32k and 48k updates. From depth 110 on it is 0.01 until the training error
    of a whole epoch (390 updates on CIFAR-10) is below 80 %. The mean of every pixel is subtracted after the
    shift, so that the border is black; the paper does not say in which order. What is left is divided by its
    channel's deviation, of which the paper says nothing. Momentum is torch's: the rate multiplies the sum of
    gradients; in Caffe, which the authors' models are for, each gradient.
    """
    deep = arch.depth() >= WARM_UP_DEPTH
    return Recipe(
        "he2015.cifar",
        arch,
        Data(source, subtract="pixel"),
        Augment("pad_crop", pad=4),
        Optim(lr=0.1, momentum=0.9, weight_decay=1e-4),
        Schedule(
            "step", warmup_lr_factor=0.1, warmup_error=WARM_UP_ERROR if deep else 0.0, drops=(0.5, 0.75)
        ),
        Budget(epochs=164, steps=CIFAR_STEPS, batch_size=128),
    )


def imagenet(arch: Arch, source: str) -> Recipe:
    """Section 3.4: SGD 0.1, momentum 0.9, decay 0.0001, batch 256, about 120 epochs.

    Shorter sides of 256 to 480 pixels and AlexNet's colour shift. The rate falls to a tenth "when the error
    plateaus": here, three times, after 5 epochs without a lower test error, for the paper gives no rule.
    The mean of every pixel is subtracted from the crop; it is taken from 10,000 images. What is left is
    divided by its channel's deviation, of which the paper says nothing. The colour shift's deviation is 0.1
    (Krizhevsky et al. 2012, 4.1). Norms keep their moving averages; the authors' released models have theirs
    counted anew, which average.bn_recalibration_images does. Momentum is torch's, as in `cifar`. For other crops than 224 the
    scales are ours: the same in proportion.
    """
    return Recipe(
        "he2015.imagenet",
        arch,
        Data(source, subtract="pixel"),
        Augment("scale_crop", sides=scales(arch), colour=0.1),
        Optim(lr=0.1, momentum=0.9, weight_decay=1e-4),
        Schedule("plateau", patience=5, max_drops=3),
        Budget(epochs=120, batch_size=256),
    )


def scales(arch: Arch) -> tuple[int, int]:
    """The `SCALES` of a network whose crops may have another side than `CROP`."""
    low, high = (round(side * arch.preprocess.size / CROP) for side in SCALES)
    return low, high


def coco(arch: Arch, source: str) -> Recipe:
    """Appendix A: 240k updates at 0.001, 80k at 0.0001, from a classifier's weights with frozen norms.

    Batches of 8 images, as for the regions. Regions and boxes are learned together; the paper takes turns.
    """
    return Recipe(
        "he2015.coco",
        arch,
        Data(source),
        Augment("none"),
        Optim(lr=0.001, momentum=0.9, weight_decay=1e-4),
        Schedule("step", drops=(0.75,)),
        Budget(steps=320_000, batch_size=8),
    )


def imagenet_steps(arch: Arch, source: str) -> Recipe:
    """`he2015.imagenet` with drops after 30, 60 and 90 epochs: ours, to compare runs by."""
    return replace(
        imagenet(arch, source),
        name="he2015.imagenet_steps",
        schedule=Schedule("step", drops=(0.25, 0.5, 0.75)),
    )
