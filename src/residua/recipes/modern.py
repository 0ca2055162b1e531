"""Modern recipes for training from scratch and fine-tuning; numbers without a source are our choices."""

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Averaging, Budget, Data, Optim, Recipe, Schedule


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
    """Fine-tuning of pretrained weights (--weights) on few images.

    Batch norms are frozen. Each block has 0.8 of the learning rate of the block above it, and gradients are
    clipped to norm 1. All numbers are ours.
    """
    return Recipe(
        "finetune",
        arch,
        Data(source),
        Augment("resized_crop", area=(0.35, 1.0), policy="trivial"),
        Optim(
            lr=0.01,
            momentum=0.9,
            nesterov=True,
            decay_norms_and_biases=False,
            label_smoothing=0.1,
            grad_clip=1.0,
            layer_decay=0.8,
            frozen_norms=True,
        ),
        Schedule("cosine", warmup=0.1),
        Budget(epochs=15, batch_size=32),
        average=Averaging(ema_decay=0.99),
    )
