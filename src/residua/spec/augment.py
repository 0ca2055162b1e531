"""Augment: what happens to a training image before a network sees it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Augment:
    """What happens to a training image first; every draw is keyed by (seed, epoch, index)."""

    kind: Literal["pad_crop", "resized_crop", "scale_crop", "ssd", "none"] = "pad_crop"
    """Shift inside a padded border (CIFAR); cut a random area and resize it (Szegedy et al. 2014); resize to
    a random scale and cut a square (Simonyan and Zisserman 2014); or, for boxes alone, zoom out, crop by
    overlap and change colours (Liu et al. 2016, 2.2)."""
    pad: int = 4
    """Border of zeros added on each side before the crop, in pixels (He et al. 2015, 4.2: 4)."""
    flip: float = 0.5
    """Chance of a left-right mirror."""
    alternate: bool = False
    """Mirror by chance in the first epoch, then every other epoch (Jordan 2024, 3.6)."""
    border: Literal["zeros", "reflect"] = "zeros"
    """What `pad_crop` pads with."""
    area: tuple[float, float] = (0.25, 1.0)
    """Smallest and largest share of the image that a resized crop takes."""
    aspect: tuple[float, float] = (0.75, 4 / 3)
    """Smallest and largest width over height of a resized crop."""
    sides: tuple[int, int] = (256, 480)
    """Smallest and largest shorter side of a `scale_crop`, in pixels (He et al. 2015, 3.4: 256 to 480)."""
    colour: float = 0.0
    """Deviation of the colour shift along ImageNet's principal colours (Krizhevsky et al. 2012: 0.1)."""
    policy: Literal["none", "rand", "trivial"] = "none"
    """torchvision's RandAugment (Cubuk et al. 2019) or TrivialAugmentWide (Mueller and Hutter 2021)."""
    policy_count: int = 2
    """`rand`: changes made to one image."""
    policy_size: int = 9
    """`rand`: how strong they are, from 0 to 30."""
    erase: float = 0.0
    """Chance that a random rectangle becomes the mean colour (Zhong et al. 2017)."""
    cutout: int = 0
    """Side of a square that becomes the mean colour, in pixels (DeVries and Taylor 2017); 0 for none."""
    mixup: float = 0.0
    """Parameter of the Beta distribution by which two images are blended (Zhang et al. 2017); 0 for never."""
    cutmix: float = 0.0
    """The same for a rectangle pasted from another image (Yun et al. 2019); with both, each has half."""
    mix_share: float = 1.0
    """Share of the batches that are mixed."""
    zoom: float = 4.0
    """`ssd`: how many times the image's sides a view that zooms out may have."""
    grow: tuple[float, float] = (1.0, 0.0)
    """Side of the crops in the first epoch, as a share of the full one, and the share of all epochs after
    which it is full (progressive resolution, in steps of 16 pixels)."""

    @property
    def whole_images(self) -> bool:
        """Whether a view is made from the whole image, one by one; else a set in memory serves batches."""
        return self.kind in ("resized_crop", "scale_crop") or self.policy != "none"

    def __post_init__(self) -> None:
        """ValueError when a number cannot be used."""
        if self.pad < 0 or not 0 <= self.flip <= 1:
            raise ValueError(
                f"augment.pad is {self.pad} and augment.flip {self.flip}: give pad >= 0, 0 <= flip <= 1"
            )
        if not (0 < self.area[0] <= self.area[1] <= 1 and 0 < self.aspect[0] <= self.aspect[1]):
            raise ValueError(f"augment.area is {self.area} and augment.aspect {self.aspect}: give low, high")
        if not 0 < self.sides[0] <= self.sides[1]:
            raise ValueError(f"augment.sides is {self.sides}: give low, high in pixels")
        chances = {"erase": self.erase, "mix_share": self.mix_share, "grow": self.grow[1]}
        if wrong := {name: value for name, value in chances.items() if not 0 <= value <= 1}:
            raise ValueError(f"augment has {wrong}: give shares from 0 to 1")
        if min(self.colour, self.mixup, self.cutmix, self.cutout, self.policy_count, self.policy_size) < 0:
            raise ValueError(
                f"{self}: give 0 or more for colour, mixup, cutmix, cutout, policy_count, policy_size"
            )
        if self.zoom < 1:
            raise ValueError(f"augment.zoom is {self.zoom}: give 1 or more")
        if not 0 < self.grow[0] <= 1 or (self.grow[0] < 1 and self.kind != "resized_crop"):
            raise ValueError(
                f"augment.grow is {self.grow} with {self.kind}: give a share up to 1, and resized_crop"
            )
