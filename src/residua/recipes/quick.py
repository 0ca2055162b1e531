"""Our own short recipes, used when no paper's is asked for: a good network in the time one has."""

from residua.spec.arch import Arch
from residua.spec.augment import Augment
from residua.spec.recipe import Budget, Data, Optim, Plan, Recipe, Schedule


def small(arch: Arch, source: str) -> Recipe:
    """Small pictures (up to 64 pixels): one rise and one straight fall of the rate, Nesterov, pad 2.

    Short schedules overfit little, so they are augmented less than the paper's (pad 2, not 4) and decayed
    more.
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
    """Photographs: crops of random area, cosine, no decay of norms, a little label smoothing."""
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
    """The demo: 8 x 8 digits in seconds, one recipe for plain and residual nets.

    No mirror, for mirrored digits are other digits. One thread: maps this small are faster on one core
    than on two, and give the same bits on every machine of a kind.
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
    """A detector from scratch on some hundred images, in minutes on a few cores.

    Small batches, many steps and AdamW, for which a detector without trained weights needs no tuned rate; the
    warm-up lets the norms settle. A view zooms out to twice the image at most, not to four times as in Liu et
    al. 2016: small sets have no larger objects to spare.
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
    """Clips: crops of random area and mirrors, the same for all frames of one; small batches, long fall.

    Where left and right are what is to be told apart, say augment.flip=0.
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
    """Moving photographs, as they are: a mirrored clip goes the other way."""
    return Recipe(
        "quick.moving",
        arch,
        Data(source),
        Augment("none", pad=0, flip=0.0),
        Optim(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4),
        Schedule("cosine", warmup=0.1),
        Budget(epochs=5, batch_size=32),
    )
