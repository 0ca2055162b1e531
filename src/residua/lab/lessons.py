"""Lessons of the view "Words": text, and networks that buttons fill in. Facts and numbers are the papers'."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A network that a button fills in."""

    title: str
    """What the button says."""
    text: str
    """A word, an order or the name of a network."""
    depth: int | None = None
    """Layers; None leaves them as they are."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One step of the course."""

    title: str
    """Its heading."""
    paragraphs: tuple[str, ...]
    """Its text."""
    examples: tuple[Example, ...]
    """Networks to look at."""


EXAMPLES = (
    Example("Plain", "CNA CNA"),
    Example("(a) original", "(CNA CN)A"),
    Example("(b) norm after addition", "(CNA C)NA"),
    Example("(c) activation before addition", "(CNA CNA)"),
    Example("(d) activation only", "(ACN ACN)"),
    Example("(e) pre-activation", "(NAC NAC)"),
    Example("ResStage", "resstage"),
    Example("Bottleneck", "(CNA CNA CN)A"),
)
"""Blocks of the papers, below the field for a word."""
SHORTCUTS = {
    "": "as it is",
    "A": "A: zeros where the width grows",
    "B": "B: projection where shapes change",
    "C": "C: projection everywhere",
    "scale0.5": "halved",
    "scale0.5,0.5": "halved, the residual too",
    "gate": "gated",
    "exclusive_gate": "gated, the residual too",
    "conv": "1×1 convolution",
    "dropout": "dropout",
}
"""Change `shortcut` of a network -> what it is."""
LESSONS = (
    Lesson(
        "A word is a block",
        (
            "C is a convolution, N a normalisation, A an activation. Read a word from left to right: "
            "it is the order in which a signal meets the layers of a block.",
            "CNA CNA is two layers of a plain network. The network repeats the word in three stages "
            "of 16, 32 and 64 channels, each on maps of half the side (He et al. 2015, 4.2).",
        ),
        (Example("A plain network of 20 layers", "CNA CNA", 20),),
    ),
    Lesson(
        "Deeper gets worse",
        (
            "A deep plain network could copy a shallow one and let its other layers pass the signal "
            "on. So it should never be worse on the images it is trained on.",
            "It is: 56 layers have a higher training error than 20 (He et al. 2015, fig. 1). The "
            "error on training images is higher, so this is not overfitting. The authors call it "
            "degradation.",
            "Vanishing gradients are often named as the cause. The authors think that unlikely: with "
            "norms after every convolution they found the gradients healthy (4.1). They leave the "
            "cause open.",
        ),
        (
            Example("Plain, 20 layers", "CNA CNA", 20),
            Example("Plain, 56 layers", "CNA CNA", 56),
        ),
    ),
    Lesson(
        "Brackets mark what the shortcut skips",
        (
            "(CNA CN)A computes A(x + F(x)): the layers in the brackets learn only what is to be "
            "added to their input. To pass a signal on, F has to become zero, which is easier to "
            "learn than the identity.",
            "The shortcut itself has no parameters. Compare the counts of both networks: they are equal.",
        ),
        (
            Example("Plain, 56 layers", "CNA CNA", 56),
            Example("Residual, 56 layers", "(CNA CN)A", 56),
        ),
    ),
    Lesson(
        "Where the shape changes",
        (
            "At the start of a stage the map halves and the width doubles, so x and F(x) do not fit. "
            "Option A fills the new channels with zeros, option B projects there with a 1×1 "
            "convolution, option C projects in every block (He et al. 2015, 3.3).",
            "In ResNet-34 the three differ little, so projections are not what removes degradation.",
        ),
        (
            Example("Option A", "resnet34:shortcut=A"),
            Example("Option B", "resnet34"),
            Example("Option C", "resnet34:shortcut=C"),
        ),
    ),
    Lesson(
        "Bottlenecks",
        (
            "Three convolutions make a bottleneck: a 1×1 that narrows, a 3×3, and a 1×1 that widens "
            "to four times the channels. Deep networks for photographs use it, because it costs "
            "little (He et al. 2015, fig. 5).",
        ),
        (
            Example("A bottleneck", "(CNA CNA CN)A", 164),
            Example("ResNet-50", "resnet50"),
        ),
    ),
    Lesson(
        "The order of the letters",
        (
            "He et al. 2016 keep the layers and move norm and activation. In (a) an activation "
            "follows every addition. In (e), full pre-activation, norm and activation come before "
            "each convolution, and nothing follows the addition.",
            "Below “In the papers” are the test errors that they print for 110 layers.",
        ),
        (
            Example("(a)", "cifar_resnet110:order=a"),
            Example("(b)", "cifar_resnet110:order=b"),
            Example("(c)", "cifar_resnet110:order=c"),
            Example("(d)", "cifar_resnet110:order=d"),
            Example("(e)", "cifar_resnet110:order=e"),
        ),
    ),
    Lesson(
        "Is the way free?",
        (
            "Count the activations on the main path: those that no shortcut skips. Order (a) has one "
            "after every block, so their number grows with depth. Order (e) has next to none: the "
            "signal passes unchanged, forward and backward.",
            "ResStage (Duta et al. 2020, 2.1) lies between: its words depend on the place of a block "
            "in its stage, and it keeps one activation for each stage.",
        ),
        (
            Example("(a), 110 layers", "a", 110),
            Example("(e), 110 layers", "e", 110),
            Example("ResStage, 110 layers", "resstage", 110),
        ),
    ),
    Lesson(
        "Spoil the shortcut",
        (
            "What multiplies the shortcut of every block multiplies again and again over the depth. "
            "He et al. 2016, table 1, try factors, gates, convolutions and dropout on it: none is "
            "better than the identity, and some fail.",
        ),
        (
            Example("Identity", "cifar_resnet110"),
            Example("Halved", "cifar_resnet110:shortcut=scale0.5"),
            Example("Gated", "cifar_resnet110:shortcut=gate"),
            Example("Dropout", "cifar_resnet110:shortcut=dropout"),
        ),
    ),
    Lesson(
        "Write your own",
        (
            "Move the letters. Leave the norms out. Put an activation after the brackets, or a second"
            " word into them. A word that cannot work says why, and where.",
            "Then train it. One run on small digits proves nothing about a word; three seeds on your "
            "own images begin to.",
        ),
        (
            Example("One layer inside", "(CN)A"),
            Example("No norms", "(CA C)A"),
            Example("Shared pre-activation", "NA(C NAC)"),
        ),
    ),
)
"""From the first word to one's own."""
