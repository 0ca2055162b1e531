"""Augment: the random changes of training images before a network reads them."""

from dataclasses import dataclass
from typing import Literal

from residua.errors import ConfigError
from residua.spec.preprocess import MAX_SIDE
from residua.spec.record import HUGE, check_field, check_range

MAX_ASPECT = 100
"""Most elongated crop, and largest zoom."""
_MOST = {
    "pad": MAX_SIDE,
    "colour": HUGE,
    "mixup": HUGE,
    "cutmix": HUGE,
    "cutout": MAX_SIDE,
    "policy_count": 100,
    "policy_size": 30,
}
"""Field -> its largest value; the smallest is 0."""


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes of training images; every draw is keyed by (seed, epoch, index of the image)."""

    kind: Literal["pad_crop", "resized_crop", "scale_crop", "ssd", "none"] = "pad_crop"
    """Crop: a shift in a padded border, a random area, a square at a random scale, SSD's, or none."""
    pad: int = 4
    """`pad_crop`: border added on each side before the crop (He et al. 2015, 4.2: 4); 0 is off. Unit:
    pixels."""
    flip: float = 0.5
    """Probability of a left-right flip; 0 is off. Unit: probability."""
    alternate: bool = False
    """Flip at random in the first epoch, then in every other epoch (Jordan 2024, 3.6)."""
    border: Literal["zeros", "reflect"] = "zeros"
    """`pad_crop`: what the border is filled with."""
    area: tuple[float, float] = (0.25, 1.0)
    """`resized_crop`: smallest and largest share of the image area. Unit: share."""
    aspect: tuple[float, float] = (0.75, 4 / 3)
    """`resized_crop`: smallest and largest width divided by height. Unit: width / height."""
    sides: tuple[int, int] = (256, 480)
    """`scale_crop`: smallest and largest shorter side (He et al. 2015, 3.4: 256 to 480). Unit: pixels."""
    colour: float = 0.0
    """Standard deviation of the shift along ImageNet's principal colours (Krizhevsky et al. 2012: 0.1); 0 is
    off."""
    policy: Literal["none", "rand", "trivial"] = "none"
    """torchvision's RandAugment (Cubuk et al. 2019) or TrivialAugmentWide (Mueller and Hutter 2021)."""
    policy_count: int = 2
    """`rand`: operations applied to one image. Unit: operations."""
    policy_size: int = 9
    """`rand`: strength of the operations, from 0 to 30."""
    erase: float = 0.0
    """Probability that a random rectangle becomes the mean colour (Zhong et al. 2017); 0 is off. Unit:
    probability."""
    cutout: int = 0
    """Side of a square that becomes the mean colour (DeVries and Taylor 2017); 0 is off. Unit: pixels."""
    mixup: float = 0.0
    """Mixup: parameter of the Beta distribution that blends two images (Zhang et al. 2017); 0 is off."""
    cutmix: float = 0.0
    """Cutmix: the same parameter, for a rectangle pasted from another image (Yun et al. 2019); 0 is off.
    With both, each mixes half of the batches."""
    mix_share: float = 1.0
    """Share of the batches that mixup and cutmix change. Unit: share."""
    zoom: float = 4.0
    """`ssd`: largest side of a zoomed-out view, in sides of the image; 1 is off. Unit: image sides."""
    grow: tuple[float, float] = (1.0, 0.0)
    """Progressive resolution: first side of the crops as a share of the full side, and the share of epochs
    after which it is full. A first value of 1 is off. Unit: share."""

    @property
    def whole_images(self) -> bool:
        """Whether each view needs its whole image; if not, batches are cropped from a dataset in memory."""
        return self.kind in ("resized_crop", "scale_crop") or self.policy != "none"

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "mix_share"):
            share = getattr(self, name)
            check_field(f"augment.{name}", share, 0 <= share <= 1, "a share from 0 to 1")
        for name, most in _MOST.items():
            check_range(f"augment.{name}", getattr(self, name), 0, most)
        (low_area, high_area), (low_aspect, high_aspect) = self.area, self.aspect
        low_side, high_side = self.sides
        share, until = self.grow
        check_field(
            "augment.area", self.area, 0 < low_area <= high_area <= 1, "two rising shares above 0, at most 1"
        )
        is_aspect = 0 < low_aspect <= high_aspect <= MAX_ASPECT
        check_field(
            "augment.aspect", self.aspect, is_aspect, f"two rising numbers above 0, at most {MAX_ASPECT}"
        )
        is_side = 0 < low_side <= high_side <= MAX_SIDE
        check_field(
            "augment.sides", self.sides, is_side, f"two rising numbers from 1 to {MAX_SIDE}, in pixels"
        )
        check_range("augment.zoom", self.zoom, 1, MAX_ASPECT, zero="off")
        check_field("augment.grow", self.grow, 0 < share <= 1 and 0 <= until <= 1, "two shares from 0 to 1")
        if share < 1 and self.kind != "resized_crop":
            raise ConfigError(
                f"augment.grow is {self.grow} with augment.kind {self.kind}: give kind resized_crop with it"
            )
