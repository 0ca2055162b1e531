"""Recipes of today, and ours: the numbers are our choices unless a source is named."""

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Averaging, Budget, Data, Optim, Recipe, Schedule


def fast_cifar(arch: Arch, source: str) -> Recipe:
    """94 or 95 % on CIFAR-10 as soon as the network can: one rise and one fall of a high rate.

    After Page 2018 (ResNet-9: 24 epochs, batch 512, peak 0.4, decay 0.0005, cutout 8) and Jordan 2024
    (alternating flips, reflected borders, smoothing 0.2, a mean of the weights every fifth update). Small
    networks such as cifar_resnet20 stay below 94 % with any recipe of this length.
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
    """Photographs with everything that helps today: cosine, averaged weights, mixing, growing crops.

    After torchvision's training recipe of 2021: smoothing 0.1, mixup 0.2, cutmix 1, erasing 0.1, decay
    0.00002 but none of norms and biases, rate 0.5 for a batch of 1024, here 256. The policy is RandAugment,
    the length 100 epochs, and crops grow from half of the side in the first two thirds of them.
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
    """A trained network for new, few images: give --weights. Norms stay as they are; lower blocks learn less.

    Each block learns at 0.8 of the rate of the one above it; gradients are no longer than 1.
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
