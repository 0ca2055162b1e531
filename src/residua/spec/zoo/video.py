"""Networks for clips: the blocks of the papers in the layout of R3D.

What Duta et al. 2020 ran on video is not known to us, and He et al. ran none: the words are theirs, the stem,
the sizes and where time is halved are those of R3D (Tran et al. 2018, as torchvision's `r3d_18`).
"""

from functools import partial

from residua.spec import orders
from residua.spec.arch import Arch
from residua.spec.block import Block, Conv
from residua.spec.change import SHORTCUTS
from residua.spec.clip import Clip
from residua.spec.inflate import inflate
from residua.spec.orders import Order
from residua.spec.preprocess import Preprocess
from residua.spec.zoo.duta2020 import PROJECTION
from residua.spec.zoo.he2015 import BLOCKS
from residua.spec.zoo.stages import Widths, stages

KINETICS = Preprocess(112, 128, (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
"""torchvision's preset for `r3d_18`, which resizes to 128 x 171 whatever the shape of a frame."""
CLIP = Clip(frames=16, stride=2)
"""16 frames at 15 a second, which is every other one of most videos (torchvision's recipe)."""
STEM = Block("CNA", (Conv(64, 7, 2),))
"""R3D has no pool behind its first convolution, so iResNet has none to move."""
IN_R3D = "in R3D's layout (ours)"


def resnet3d(
    name: str,
    *,
    depth: int,
    convs: Widths,
    order: Order = orders.original,
    shortcut: tuple[str, bool] = SHORTCUTS["B"],
    source: str = "Tran et al. 2018, R3D, as torchvision",
) -> Arch:
    """R3D: a residual net whose 3x3 windows span three frames; 18 layers are torchvision's `r3d_18`.

    Args:
        name: Name of the network; its family is the name without `depth`.
        depth: Layers: a key of `he2015.BLOCKS`.
        convs: (width, stride) -> convolutions of a block, e.g. `widths.basic`.
        order: (number of convolutions, place in the stage) -> word.
        shortcut: Shortcut word, and whether it is spelled where shapes agree.
        source: Paper and section.

    Returns:
        The network, for 400 classes and clips of 16 frames of 112 x 112 pixels.
    """
    blocks = stages(BLOCKS[depth], convs, order, narrow=64, shortcut=shortcut)
    family = name.removesuffix(str(depth))
    images = Arch(name, family, source, STEM, blocks, classes=400, preprocess=KINETICS)
    return inflate(images, CLIP)


resgroup3d = partial(resnet3d, source=f"Duta et al. 2020, 2.3, {IN_R3D}")
resstage3d = partial(resnet3d, order=orders.resstage, source=f"Duta et al. 2020, 2.1, {IN_R3D}")
iresnet3d = partial(resstage3d, shortcut=PROJECTION, source=f"Duta et al. 2020, 2.2, {IN_R3D}")
"""With the wide grouped blocks; with norms and activations placed by position in the stage; with the max-pool
projection too, which pools over frames as well."""
