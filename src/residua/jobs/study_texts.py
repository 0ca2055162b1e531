"""What each study is called on a page, and how a stranger reads its figures."""

from collections.abc import Mapping

READINGS: Mapping[str, tuple[str, str]] = {
    "responses": (
        "How strongly each layer answers",
        "One point is one 3×3 layer: the standard deviation of what it puts out for these images, behind its "
        "norm and before activation and addition, as in He et al. 2015, fig. 7. There, residual networks "
        "answer less strongly than plain ones, and deeper ones less per layer: each branch only nudges what "
        "passes by. Where no norm follows a convolution before the addition, as at the end of a "
        "pre-activation branch, the convolution itself is measured.",
    ),
    "gradients": (
        "How much gradient arrives",
        "A line that falls steeply to the left would mean vanishing gradients, one that rises, exploding "
        "ones. For plain nets with batch norm He et al. 2015, 4.1 report healthy backward norms, and argue "
        "that vanishing gradients are unlikely to be why the deeper ones train worse. Train mode, one batch.",
    ),
    "identity": (
        "Is the main path an identity?",
        "If nothing but additions stands on the path between two blocks, the later map is the earlier one "
        "plus all that the branches between added, and the gradient of the earlier one is that of the later "
        "one plus what comes through the branches (He et al. 2016, 2). Float64 makes this exact to rounding. "
        'An activation on the path breaks it, and the error says by how much. The "1 +" in the gradient is '
        "no lower bound: the branches may cancel it, which is only unlikely.",
    ),
    "lesion": (
        "What one block is worth",
        "Blocks are taken out of the trained network, which is not trained again (after Veit et al. 2016). A "
        "residual block loses its branch and keeps its shortcut: the others still see nearly what they were "
        "trained on, so that one missing block costs little, except where a stage begins. A plain network "
        "has no way around: what comes out of one block is all that the next one gets, and taking one away "
        "ruins it. Blocks that change the width cannot be taken out of a plain network, and are missing from "
        "its line. Of VGG, whose blocks all do, single layers are taken out.",
    ),
    "paths": (
        "How long are the paths that matter?",
        "With n blocks there are 2ⁿ ways from the loss to the first block: at each, through the branch or "
        "around it. Most have about n/2 branches (Veit et al. 2016). What one path brings falls with its "
        "length, so the gradient is mostly made by paths shorter than that: number times strength. The "
        "forward pass is whole; only the way back is cut, and all paths together are the gradient exactly. "
        "Lengths between measured ones are interpolated.",
    ),
    "activations": (
        "What stands on the main path",
        "Counted in the words of the network. The original order has one after every addition, so their "
        "number grows with depth; pre-activation (order e) moves them into the branches; ResStage keeps one "
        "a stage (Duta et al. 2020, 2.1). Orders are those of He et al. 2016, fig. 4.",
    ),
    "landscape": (
        "The loss around the weights",
        "Two random directions, in which every filter is as long as the network's own, so that networks of "
        "different scale can be compared (Li et al. 2018). A wide light basin means that weights may move "
        "far before the loss rises; a narrow or ragged one that training had little room. Two directions of "
        "millions: another seed gives another slice. Norms keep their statistics.",
    ),
    "cam": (
        "Where it looks: Grad-CAM",
        "Tinted is what speaks for the class that the network names (Selvaraju et al. 2017): gradients of "
        "its logit weigh the channels of the last map. The map is coarse, and is stretched to the picture; "
        "where nothing is tinted, nothing in the last map speaks for the class. It shows what mattered, not "
        "whether that was right.",
    ),
    "occlusion": (
        "What it cannot do without: occlusion",
        "A grey square, a quarter as wide as the picture, covers one place after the other; tinted is where "
        "covering lowers the logit of the class that the network names. Slower than Grad-CAM, and "
        "independent of gradients: where both agree, believe them more.",
    ),
    "features": (
        "What the channels show",
        "Every square is one channel of the map behind the stem or a stage, dark where it is least and light "
        "where it is most; shown are those that vary most over the picture. Early maps still look like the "
        "picture, with edges picked out; later ones are small, and say where something is rather than what "
        "it looks like.",
    ),
    "field": (
        "How far one cell really sees",
        "Gradient of one cell of the last map by every pixel, averaged over images of noise (Luo et al. "
        "2016). The frame is arithmetic: kernels and strides. Within it the effect falls off like a bell, "
        "for there are many ways to the middle and few to the edge; the effective side is that of a square "
        "as large as the pixels above 4.55 % of the peak. Shades are by the square root, so that faint ones "
        "show.",
    ),
}
"""Name of a study -> heading, and a paragraph that says how to read it."""
