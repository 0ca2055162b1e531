"""Recipes of He et al. 2015; each docstring names the section and the differences from the paper."""

from dataclasses import replace

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Recipe, Schedule

WARM_UP_DEPTH = 110
"""Layers from which on training begins with a warm-up at a tenth of the learning rate (4.2)."""
WARM_UP_ERROR = 80.0
"""Training error, in percent, below which the warm-up ends (4.2: after "about 400 iterations")."""
WARM_UP_STEPS = 400
"""Steps of the authors' warm-up (4.2)."""
CIFAR_STEPS = 64_000
"""Steps of a CIFAR-10 run (4.2)."""
SCALES = (256, 480)
"""Smallest and largest shorter side of an ImageNet training image, in pixels (3.4)."""
CROP = 224
"""Side of the crops of it, in pixels (3.4)."""


def cifar(arch: Arch, source: str) -> Recipe:
    """CIFAR-10 with the paper's schedule (He et al. 2015, section 4.2).

    SGD with learning rate 0.1, momentum 0.9, weight decay 0.0001, batch size 128, 64k steps; the learning
    rate drops to a tenth after 32k and 48k steps. Augmentation: padding by 4 pixels, random crop and flip.
    From 110 layers on the learning rate is 0.01 until the training error of an epoch is below 80 %.

    Differences from the paper: the warm-up ends after a whole epoch (390 steps on CIFAR-10), not as soon as
    the error is below 80 %. The paper does not state the order of crop and mean subtraction; here the mean of
    every pixel is subtracted after the crop, so the border is black. Each channel is also divided by its
    standard deviation, which the paper does not state. Momentum is PyTorch's, where the learning rate
    multiplies the sum of gradients; in Caffe, which the authors' models are for, it multiplies each gradient.
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
    """ImageNet with the paper's schedule (He et al. 2015, section 3.4).

    SGD with learning rate 0.1, momentum 0.9, weight decay 0.0001, batch size 256, about 120 epochs.
    Augmentation: shorter sides of 256 to 480 pixels, random crop and flip, AlexNet's colour shift with
    standard deviation 0.1 (Krizhevsky et al. 2012, section 4.1). The mean of every pixel is subtracted.

    Differences from the paper: the learning rate drops to a tenth "when the error plateaus", for which the
    paper gives no rule; here after 5 epochs without a lower test error, three times. The mean is that of
    10,000 images, and each channel is also divided by its standard deviation; the paper states neither. Batch
    norms keep their moving averages; average.bn_recalibration_images computes them again after training, as
    in the authors' released models. Momentum is PyTorch's, as in he2015.cifar. For crops other than 224
    pixels the scales are in proportion, which is ours.
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
    """SCALES in proportion to the crops of `arch`, which may have another side than CROP."""
    low, high = (round(side * arch.preprocess.size / CROP) for side in SCALES)
    return low, high


def coco(arch: Arch, source: str) -> Recipe:
    """Faster R-CNN on COCO from a pretrained classifier with frozen batch norms (He et al. 2015, appendix A).

    SGD with learning rate 0.001 for 240k steps, then 0.0001 for 80k steps; batch size 8, as for the regions.

    Difference from the paper: regions and boxes are trained together; the paper trains them in turns.
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
    """he2015.imagenet with learning rate drops after 30, 60 and 90 epochs: ours, to compare runs."""
    return replace(
        imagenet(arch, source),
        name="he2015.imagenet_steps",
        schedule=Schedule("step", drops=(0.25, 0.5, 0.75)),
    )
