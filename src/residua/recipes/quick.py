"""Short recipes of ours: the defaults where the user names no recipe."""

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Plan, Recipe, Schedule


def small(arch: Arch, source: str) -> Recipe:
    """Default for small images, up to 64 pixels: 12 epochs, one rise and one fall of the learning rate.

    Short schedules overfit little. So augmentation is weaker than the paper's (padding 2, not 4) and weight
    decay is stronger (0.0005, not 0.0001).
    """
    return Recipe(
        "quick.small",
        arch,
        Data(source),
        Augment("pad_crop", pad=2),
        Optim(lr=0.08, momentum=0.9, nesterov=True, weight_decay=5e-4),
        Schedule("linear", warmup=0.15),
        Budget(epochs=12, batch_size=64),
    )


def photos(arch: Arch, source: str) -> Recipe:
    """Default for photographs: 20 epochs, crops of random area, cosine schedule, label smoothing 0.1.

    Norms and biases have no weight decay.
    """
    return Recipe(
        "quick.photos",
        arch,
        Data(source),
        Augment("resized_crop"),
        Optim(
            lr=0.05,
            momentum=0.9,
            nesterov=True,
            weight_decay=1e-4,
            decay_norms_and_biases=False,
            label_smoothing=0.1,
        ),
        Schedule("cosine", warmup=0.05),
        Budget(epochs=20, batch_size=64),
    )


def digits(arch: Arch, source: str) -> Recipe:
    """Demo on 8 x 8 digits: seconds on a CPU, one recipe for plain and residual nets.

    No flip: a mirrored digit is another digit. One thread: feature maps this small are faster on one core
    than on two, and results are bit-identical on every machine of a kind.
    """
    return Recipe(
        "quick.digits",
        arch,
        Data(source),
        Augment("none", pad=0, flip=0.0),
        Optim(lr=0.05, momentum=0.9, weight_decay=1e-4),
        Schedule("cosine", warmup=0.1),
        Budget(epochs=5, batch_size=32),
        Plan("cpu", memory_format="channels_last", precision="float32", threads=1),
    )


def boxes(arch: Arch, source: str) -> Recipe:
    """Default for object detection: a detector from scratch on a few hundred images, in minutes.

    Small batches, many steps and AdamW, with which a detector without pretrained weights needs no tuned
    learning rate; the warm-up lets the batch norms settle. Views zoom out to at most twice the image, not to
    four times as in Liu et al. 2016: small datasets have no larger objects to lose.
    """
    return Recipe(
        "quick.boxes",
        arch,
        Data(source),
        Augment("ssd", zoom=2.0),
        Optim(lr=1e-3, weight_decay=0.05, decay_norms_and_biases=False, kind="adamw", grad_clip=10.0),
        Schedule("cosine", warmup=0.05),
        Budget(epochs=30, batch_size=8),
    )


def clips(arch: Arch, source: str) -> Recipe:
    """Default for video: crops of random area and flips, the same for all frames of a clip; cosine schedule.

    Where left and right distinguish classes, set augment.flip=0.
    """
    return Recipe(
        "quick.clips",
        arch,
        Data(source),
        Augment("resized_crop", area=(0.35, 1.0)),
        Optim(
            lr=0.01,
            momentum=0.9,
            nesterov=True,
            weight_decay=1e-4,
            decay_norms_and_biases=False,
            label_smoothing=0.1,
        ),
        Schedule("cosine", warmup=0.1),
        Budget(epochs=30, batch_size=8),
    )


def moving(arch: Arch, source: str) -> Recipe:
    """Moving photographs without augmentation: a flipped clip moves in the other direction."""
    return Recipe(
        "quick.moving",
        arch,
        Data(source),
        Augment("none", pad=0, flip=0.0),
        Optim(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
        Schedule("cosine", warmup=0.1),
        Budget(epochs=5, batch_size=32),
    )
