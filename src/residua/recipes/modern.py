"""Modern recipes for training from scratch and fine-tuning; numbers without a source are our choices."""

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Averaging, Budget, Data, Optim, Recipe, Schedule

LOWEST_SHARE = 0.2
"""Learning rate of the lowest layers in fine-tuning, as a share of that of the last layer; our choice."""


def fast_cifar(arch: Arch, source: str) -> Recipe:
    """CIFAR-10 to 94 or 95 % accuracy in few epochs: one rise and one fall of a high learning rate.

    After Page 2018 (ResNet-9: 24 epochs, batch size 512, peak learning rate 0.4, weight decay 0.0005, cutout
    8) and Jordan 2024 (alternating flips, reflected borders, label smoothing 0.2, weights averaged every
    fifth step). Small networks such as cifar_resnet20 stay below 94 % with any recipe of this length.
    """
    return Recipe(
        "fast_cifar",
        arch,
        Data(source),
        Augment("pad_crop", pad=4, border="reflect", alternate=True, cutout=8),
        Optim(lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4, label_smoothing=0.2),
        Schedule("linear", warmup=0.2),
        Budget(epochs=24, batch_size=512),
        average=Averaging(ema_decay=0.95, every=5),
    )


def modern(arch: Arch, source: str) -> Recipe:
    """Photographs from scratch with modern regularization: averaged weights, mixup, cutmix, RandAugment.

    After torchvision's training recipe of 2021: label smoothing 0.1, mixup 0.2, cutmix 1, random erasing 0.1,
    weight decay 0.00002 without norms and biases, learning rate 0.5 for batch size 1024, here 0.125 for 256.
    RandAugment, the length of 100 epochs and the growing crops (from half of the side, in the first two
    thirds of the epochs) are ours.
    """
    return Recipe(
        "modern",
        arch,
        Data(source),
        Augment(
            "resized_crop",
            area=(0.08, 1.0),
            policy="rand",
            erase=0.1,
            mixup=0.2,
            cutmix=1.0,
            grow=(0.5, 2 / 3),
        ),
        Optim(
            lr=0.125,
            momentum=0.9,
            nesterov=True,
            weight_decay=2e-5,
            decay_norms_and_biases=False,
            label_smoothing=0.1,
        ),
        Schedule("cosine", warmup=0.05),
        Budget(epochs=100, batch_size=256),
        average=Averaging(ema_decay=0.999),
    )


def finetune(arch: Arch, source: str) -> Recipe:
    """Fine-tuning of pretrained weights (--weights): a linear probe, then all layers, the better is kept.

    The last layer begins as a logistic regression on the features of the frozen network. AdamW then trains
    all layers, the lowest with a fifth of the learning rate of the last. Batch norms keep their statistics
    and weights: few images give worse ones. A fifth of the training images is not trained on: their error
    chooses between the probe and every epoch. The averaged weights are compared. The length is at most 30
    passes for any number of images. All numbers are ours; docs/explanation/benchmarks.md
    says which were measured.
    """
    return Recipe(
        "finetune",
        arch,
        Data(source, inner_val_fraction=0.2),
        Augment("resized_crop", area=(0.35, 1.0)),
        Optim(
            lr=1e-3,
            weight_decay=0.01,
            decay_norms_and_biases=False,
            label_smoothing=0.1,
            kind="adamw",
            grad_clip=1.0,
            layer_decay=_layer_decay(arch),
            frozen_norms=True,
        ),
        Schedule("cosine", warmup=0.2),
        Budget(epochs=30, batch_size=32, drop_last=False),
        average=Averaging(ema_decay=0.98),
        probe="first",
    )


def probe(arch: Arch, source: str) -> Recipe:
    """A linear probe of pretrained weights: the last layer is fitted, all others stay. It takes seconds.

    The strength of its regularization is chosen by cross-validation on the training images.
    """
    return Recipe("probe", arch, Data(source), Augment("none", pad=0, flip=0.0), Optim(), probe="only")


def _layer_decay(arch: Arch) -> float:
    """Share of a block's learning rate that the block below it gets, so that the stem gets LOWEST_SHARE."""
    below = sum(map(len, arch.stages)) + 1
    return float(f"{LOWEST_SHARE ** (1 / below):.4g}")
