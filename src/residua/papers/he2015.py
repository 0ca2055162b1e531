"""Recipes of He et al. 2015, with section numbers; what differs from the paper is said in each docstring."""

from residua.spec.arch import Arch
from residua.spec.recipe import Augment, Budget, Data, Optim, Recipe, Schedule

WARM_UP_DEPTH = 110
"""From this depth on the first updates run at a tenth of the rate (4.2)."""
WARM_UP_STEPS = 400
"""How long that lasted (4.2: "about 400 iterations")."""
CIFAR_STEPS = 64_000
"""Updates of a CIFAR-10 run (4.2)."""


def cifar(arch: Arch, source: str) -> Recipe:
    """Section 4.2: SGD 0.1, momentum 0.9, decay 0.0001, batch 128, 64k updates, pad 4 and flip.

    The rate falls to a tenth at 32k and 48k updates.

    From depth 110 on the rate is 0.01 for the first 400 updates, where the paper waits for 80 % training
    error. Pixels are standardised per channel, where the paper subtracts a mean per pixel.
    """
    warm = WARM_UP_STEPS / CIFAR_STEPS if arch.depth() >= WARM_UP_DEPTH else 0.0
    return Recipe(
        "he2015.cifar",
        arch,
        Data(source),
        Augment("pad_crop", pad=4),
        Optim(rate=0.1, momentum=0.9, decay=1e-4),
        Schedule("step", warmup=warm, warmup_rate=0.1, flat_warmup=True, drops=(0.5, 0.75)),
        Budget(epochs=164, steps=CIFAR_STEPS, batch=128),
    )


def imagenet(arch: Arch, source: str) -> Recipe:
    """Section 3.4: SGD 0.1, momentum 0.9, decay 0.0001, batch 256, about 120 epochs.

    The paper divides the rate by ten "when the error plateaus"; here that is after 30, 60 and 90 epochs.
    Crops are of random area and aspect, where the paper resizes the shorter side to 256-480 and shifts
    colours.
    """
    return Recipe(
        "he2015.imagenet",
        arch,
        Data(source),
        Augment("resized_crop"),
        Optim(rate=0.1, momentum=0.9, decay=1e-4),
        Schedule("step", drops=(0.25, 0.5, 0.75)),
        Budget(epochs=120, batch=256),
    )
