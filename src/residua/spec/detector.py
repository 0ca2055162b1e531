"""Detector: everything behind a backbone that finds boxes, as one frozen value stored with the weights."""

from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Literal

from residua.errors import ConfigError
from residua.spec.arch import Arch
from residua.spec.block import MAX_WIDTH
from residua.spec.named_network import arch_of, is_network
from residua.spec.preprocess import MAX_SIDE, Preprocess
from residua.spec.record import check_field, check_range, nearest

Kind = Literal["ssd", "c4", "fpn"]
"""Single-shot (Liu et al. 2016); Faster R-CNN on one map, the last stage run for each region (He et al. 2015,
appendix A); Faster R-CNN on a feature pyramid (Lin et al. 2017)."""

_SSD_MANY, _SSD_FEW = (2.0, 3.0), (2.0,)
_RCNN_RATIOS = (0.5, 1.0, 2.0)


MAX_STILL = 100
"""Most frozen parts of a backbone."""


def check_sizes(path: str, sizes: tuple[float, ...], most: float) -> None:
    """ConfigError when one of the `sizes` in the field `path` is not above 0, or above `most`."""
    check_field(path, sizes, all(0 < size <= most for size in sizes), f"numbers above 0, at most {most}")


@dataclass(frozen=True, slots=True)
class Detector:
    """Detection head, anchors and image size for a backbone, which is an `Arch` of its own."""

    name: str
    """Prefix of the backbone's name, e.g. `ssd300` in `ssd300_iresnet18`."""
    kind: Kind
    """Kind of detection head."""
    size: int
    """SSD: side of the square that images are resized to. Others: shorter side, aspect ratio kept. Pixels."""
    longest: int
    """Largest longer side of an image that keeps its aspect ratio, in pixels."""
    strides: tuple[int, ...]
    """Maps of the backbone to read, by how many times smaller than the image each is."""
    sizes: tuple[tuple[float, ...], ...]
    """Sides of the anchors of each map, in pixels. SSD: the side, and that of the next map, which makes one
    more square (Liu et al. 2016, 2.2)."""
    ratios: tuple[tuple[float, ...], ...]
    """Aspect ratios of the anchors of each map. SSD: width over height and its inverse, besides the squares.
    Others: height over width."""
    extras: tuple[int, ...] = ()
    """SSD: channels of additional maps, each half as large as the one before."""
    norm: Literal["batch", "frozen"] = "batch"
    """Norms of the backbone; frozen ones keep their pretrained statistics and weights."""
    still: int = 0
    """Frozen parts of the backbone: 1 is the stem, 2 also the first stage; 0 is off."""

    def __post_init__(self) -> None:
        if self.longest > MAX_SIDE:
            raise ConfigError(f"detector.longest is {self.longest}: give at most {MAX_SIDE} pixels")
        check_sizes("detector.strides", self.strides, MAX_SIDE)
        check_sizes("detector.extras", self.extras, MAX_WIDTH)
        for rows, field in ((self.sizes, "sizes"), (self.ratios, "ratios")):
            check_sizes(f"detector.{field}", tuple(chain.from_iterable(rows)), MAX_SIDE)
        maps = len(self.strides) + len(self.extras) + (self.kind == "fpn")
        if not 0 < self.size <= self.longest or (self.kind == "ssd" and self.size != self.longest):
            raise ConfigError(
                f"detector.size is {self.size}, .longest {self.longest}: give size <= longest, SSD one number"
            )
        if len(self.sizes) != maps or len(self.ratios) != maps:
            raise ConfigError(
                f"detector {self.name} has {maps} maps: give detector.sizes and .ratios for each"
            )
        if not self.strides or not all(self.sizes) or not (self.kind == "ssd" or all(self.ratios)):
            raise ConfigError(f"{self}: give at least one map, with sizes and ratios each")
        check_range("detector.still", self.still, 0, MAX_STILL, zero="off")
        if self.kind == "ssd" and any(len(row) != 2 for row in self.sizes):
            raise ConfigError(f"detector.sizes is {self.sizes}: give SSD two sides for each map")
        if self.extras and self.kind != "ssd":
            raise ConfigError(f"detector.extras is {self.extras}: only SSD has maps behind the backbone's")

    @property
    def warps(self) -> bool:
        """Whether images are resized to a square without keeping the aspect ratio."""
        return self.kind == "ssd"


def _ssd(size: int, sides: tuple[float, ...], extras: tuple[int, ...]) -> Detector:
    """Three maps of the backbone, and `extras`; anchors as for COCO (Liu et al. 2016, 3.4)."""
    sizes = tuple(pairwise(sides))
    ratios = (_SSD_FEW, *(_SSD_MANY,) * (len(sizes) - 3), _SSD_FEW, _SSD_FEW)
    return Detector(f"ssd{size}", "ssd", size, size, (8, 16, 32), sizes, ratios, extras)


DETECTORS = {
    "ssd300": _ssd(300, (21, 45, 99, 153, 207, 261, 315), (512, 256, 256)),
    "ssd512": _ssd(512, (20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8, 542.72), (512, 256, 256, 256)),
    "fasterrcnn_c4": Detector(
        "fasterrcnn_c4", "c4", 600, 1000, (16,), ((32, 64, 128, 256, 512),), (_RCNN_RATIOS,),
        norm="frozen", still=2,
    ),
    "fasterrcnn_fpn": Detector(
        "fasterrcnn_fpn", "fpn", 800, 1333, (4, 8, 16, 32), ((32,), (64,), (128,), (256,), (512,)),
        (_RCNN_RATIOS,) * 5, norm="frozen", still=2,
    ),
}  # fmt: skip
"""Name -> detector. C4: images of He et al. 2015, appendix A, Detectron's anchors; FPN: as torchvision."""


def split_name(name: str) -> tuple[Detector, str] | None:
    """The detector and the backbone's name in `ssd300_iresnet18`; None when it names no detector."""
    for prefix, detector in DETECTORS.items():
        if name.startswith(f"{prefix}_"):
            return detector, name.removeprefix(f"{prefix}_")
    return None


def named(name: str) -> tuple[Detector, Arch]:
    """The detector and the backbone of a name such as `ssd300_iresnet18` or `ssd300_iresnet18:order=e`.

    Raises:
        ConfigError: There is no such detector or backbone; the message names the nearest ones.
    """
    parts = split_name(name)
    if parts is None:
        backbone = name if is_network(name) else "resnet50"
        known = [f"{prefix}_{backbone}" for prefix in DETECTORS]
        raise ConfigError(
            f"no detector {name!r}: {nearest(name, known)}; any of `residua models` can be the backbone"
        )
    detector, backbone = parts
    return detector, arch_of(backbone)


def map_indices(detector: Detector, arch: Arch) -> tuple[int, ...]:
    """Indices of the backbone's maps that the detector reads, as in `features_only`: the last of each stride.

    Raises:
        ConfigError: The backbone has no map of a stride that the detector reads.
    """
    strides = arch.strides()
    missing = [stride for stride in detector.strides if stride not in strides]
    if missing or arch.is_flat:
        raise ConfigError(
            f"{arch.name} has maps {', '.join(map(str, strides))} times smaller than the image; "
            f"{detector.name} reads {', '.join(map(str, detector.strides))}: choose a network for 224 pixels"
        )
    return tuple(len(strides) - 1 - strides[::-1].index(stride) for stride in detector.strides)


def for_boxes(arch: Arch, detector: Detector) -> Arch:
    """`arch` for the image size of `detector`; mean and standard deviation stay."""
    old = arch.preprocess
    preprocess = Preprocess(detector.size, detector.size, old.mean, old.std, old.colour, old.interpolation)
    return replace(arch, preprocess=preprocess)
