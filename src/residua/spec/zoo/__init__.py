"""Every network by name: one literal dict, and the functions that read it.

The functions of a paper's module take the name of the network, its `depth` in layers and `convs`, the
convolutions of a block. They raise ConfigError for a depth that no number of blocks gives.
"""

import fnmatch
from collections.abc import Callable, Mapping
from functools import partial

from residua.errors import ConfigError
from residua.spec import widths
from residua.spec.arch import Arch
from residua.spec.record import nearest
from residua.spec.zoo import baselines, duta2020, he2015, he2016, video

NAMES: Mapping[str, Callable[[str], Arch]] = {
    "plain18": partial(he2015.plain, depth=18),
    "plain34": partial(he2015.plain, depth=34),
    "resnet18": partial(he2015.resnet, depth=18, convs=widths.basic),
    "resnet34": partial(he2015.resnet, depth=34, convs=widths.basic),
    "resnet50": partial(he2015.resnet, depth=50, convs=widths.bottleneck),
    "resnet101": partial(he2015.resnet, depth=101, convs=widths.bottleneck),
    "resnet152": partial(he2015.resnet, depth=152, convs=widths.bottleneck),
    "resnet200": partial(he2015.resnet, depth=200, convs=widths.bottleneck),
    "resnet50_v1": partial(he2015.resnet, depth=50, convs=widths.bottleneck_v1),
    "resnet101_v1": partial(he2015.resnet, depth=101, convs=widths.bottleneck_v1),
    "resnet152_v1": partial(he2015.resnet, depth=152, convs=widths.bottleneck_v1),
    "resnet18_a": partial(he2015.resnet, depth=18, convs=widths.basic, option="A"),
    "resnet18_c": partial(he2015.resnet, depth=18, convs=widths.basic, option="C"),
    "resnet34_a": partial(he2015.resnet, depth=34, convs=widths.basic, option="A"),
    "resnet34_c": partial(he2015.resnet, depth=34, convs=widths.basic, option="C"),
    "resnext50_32x4d": partial(he2015.resnet, depth=50, convs=widths.resnext, family="resnext"),
    "wide_resnet50_2": partial(he2015.resnet, depth=50, convs=widths.wide, family="wide_resnet"),
    "cifar_plain20": partial(he2015.cifar_plain, depth=20),
    "cifar_plain32": partial(he2015.cifar_plain, depth=32),
    "cifar_plain44": partial(he2015.cifar_plain, depth=44),
    "cifar_plain56": partial(he2015.cifar_plain, depth=56),
    "cifar_plain110": partial(he2015.cifar_plain, depth=110),
    "cifar_resnet20": partial(he2015.cifar_resnet, depth=20),
    "cifar_resnet32": partial(he2015.cifar_resnet, depth=32),
    "cifar_resnet44": partial(he2015.cifar_resnet, depth=44),
    "cifar_resnet56": partial(he2015.cifar_resnet, depth=56),
    "cifar_resnet110": partial(he2015.cifar_resnet, depth=110),
    "cifar_resnet1202": partial(he2015.cifar_resnet, depth=1202),
    "cifar_resnet164": partial(he2016.cifar_bottleneck, depth=164),
    "cifar_resnet1001": partial(he2016.cifar_bottleneck, depth=1001),
    "preresnet18": partial(he2016.preresnet, depth=18, convs=widths.basic),
    "preresnet34": partial(he2016.preresnet, depth=34, convs=widths.basic),
    "preresnet50": partial(he2016.preresnet, depth=50, convs=widths.bottleneck),
    "preresnet101": partial(he2016.preresnet, depth=101, convs=widths.bottleneck),
    "preresnet152": partial(he2016.preresnet, depth=152, convs=widths.bottleneck),
    "preresnet200": partial(he2016.preresnet, depth=200, convs=widths.bottleneck),
    "cifar_preresnet110": partial(he2016.cifar_preresnet, depth=110),
    "cifar_preresnet164": partial(he2016.cifar_preresnet, depth=164),
    "cifar_preresnet1001": partial(he2016.cifar_preresnet, depth=1001),
    "resstage18": partial(duta2020.resstage, depth=18, convs=widths.basic),
    "resstage34": partial(duta2020.resstage, depth=34, convs=widths.basic),
    "resstage50": partial(duta2020.resstage, depth=50, convs=widths.bottleneck),
    "resstage101": partial(duta2020.resstage, depth=101, convs=widths.bottleneck),
    "resstage152": partial(duta2020.resstage, depth=152, convs=widths.bottleneck),
    "resstage200": partial(duta2020.resstage, depth=200, convs=widths.bottleneck),
    "iresnet18": partial(duta2020.iresnet, depth=18, convs=widths.basic),
    "iresnet34": partial(duta2020.iresnet, depth=34, convs=widths.basic),
    "iresnet50": partial(duta2020.iresnet, depth=50, convs=widths.bottleneck),
    "iresnet101": partial(duta2020.iresnet, depth=101, convs=widths.bottleneck),
    "iresnet152": partial(duta2020.iresnet, depth=152, convs=widths.bottleneck),
    "iresnet200": partial(duta2020.iresnet, depth=200, convs=widths.bottleneck),
    "iresnet302": partial(duta2020.iresnet, depth=302, convs=widths.bottleneck),
    "iresnet404": partial(duta2020.iresnet, depth=404, convs=widths.bottleneck),
    "iresnet1001": partial(duta2020.iresnet, depth=1001, convs=widths.bottleneck),
    "resgroup50": partial(duta2020.resgroup, depth=50, convs=widths.resgroup),
    "resgroup101": partial(duta2020.resgroup, depth=101, convs=widths.resgroup),
    "resgroup152": partial(duta2020.resgroup, depth=152, convs=widths.resgroup),
    "resgroupfix50": partial(duta2020.resgroup, depth=50, convs=widths.resgroupfix),
    "resgroupfix101": partial(duta2020.resgroup, depth=101, convs=widths.resgroupfix),
    "resgroupfix152": partial(duta2020.resgroup, depth=152, convs=widths.resgroupfix),
    "iresgroup50": partial(duta2020.iresgroup, depth=50, convs=widths.resgroup),
    "iresgroup101": partial(duta2020.iresgroup, depth=101, convs=widths.resgroup),
    "iresgroup152": partial(duta2020.iresgroup, depth=152, convs=widths.resgroup),
    "iresgroupfix50": partial(duta2020.iresgroup, depth=50, convs=widths.resgroupfix),
    "iresgroupfix101": partial(duta2020.iresgroup, depth=101, convs=widths.resgroupfix),
    "iresgroupfix152": partial(duta2020.iresgroup, depth=152, convs=widths.resgroupfix),
    "resstage18_released": partial(duta2020.resstage_released, depth=18, convs=widths.basic),
    "resstage34_released": partial(duta2020.resstage_released, depth=34, convs=widths.basic),
    "resstage50_released": partial(duta2020.resstage_released, depth=50, convs=widths.bottleneck),
    "resstage101_released": partial(duta2020.resstage_released, depth=101, convs=widths.bottleneck),
    "resstage152_released": partial(duta2020.resstage_released, depth=152, convs=widths.bottleneck),
    "resstage200_released": partial(duta2020.resstage_released, depth=200, convs=widths.bottleneck),
    "iresnet18_released": partial(duta2020.iresnet_released, depth=18, convs=widths.basic),
    "iresnet34_released": partial(duta2020.iresnet_released, depth=34, convs=widths.basic),
    "iresnet50_released": partial(duta2020.iresnet_released, depth=50, convs=widths.bottleneck),
    "iresnet101_released": partial(duta2020.iresnet_released, depth=101, convs=widths.bottleneck),
    "iresnet152_released": partial(duta2020.iresnet_released, depth=152, convs=widths.bottleneck),
    "iresnet200_released": partial(duta2020.iresnet_released, depth=200, convs=widths.bottleneck),
    "iresnet302_released": partial(duta2020.iresnet_released, depth=302, convs=widths.bottleneck),
    "iresnet404_released": partial(duta2020.iresnet_released, depth=404, convs=widths.bottleneck),
    "iresnet1001_released": partial(duta2020.iresnet_released, depth=1001, convs=widths.bottleneck),
    "iresgroup50_released": partial(duta2020.iresgroup_released, depth=50, convs=widths.resgroup),
    "iresgroup101_released": partial(duta2020.iresgroup_released, depth=101, convs=widths.resgroup),
    "iresgroup152_released": partial(duta2020.iresgroup_released, depth=152, convs=widths.resgroup),
    "iresgroupfix50_released": partial(duta2020.iresgroup_released, depth=50, convs=widths.resgroupfix),
    "iresgroupfix101_released": partial(duta2020.iresgroup_released, depth=101, convs=widths.resgroupfix),
    "iresgroupfix152_released": partial(duta2020.iresgroup_released, depth=152, convs=widths.resgroupfix),
    "cifar_iresnet164": partial(duta2020.cifar_iresnet, depth=164),
    "cifar_iresnet1001": partial(duta2020.cifar_iresnet, depth=1001),
    "cifar_iresnet2000": partial(duta2020.cifar_iresnet, depth=2000),
    "cifar_iresnet3002": partial(duta2020.cifar_iresnet, depth=3002),
    "alexnet": baselines.alexnet,
    "alexnet_2012": baselines.alexnet_2012,
    "vgg16": partial(baselines.vgg, depth=16),
    "vgg19": partial(baselines.vgg, depth=19),
    "vgg16_bn": partial(baselines.vgg, depth=16, norm=True),
    "vgg19_bn": partial(baselines.vgg, depth=19, norm=True),
    "googlenet": baselines.googlenet,
    "googlenet_2014": baselines.googlenet_2014,
    "smallconvnet": baselines.smallconvnet,
    "resmlp": baselines.resmlp,
    "resnet3d18": partial(video.resnet3d, depth=18, convs=widths.basic),
    "resnet3d50": partial(video.resnet3d, depth=50, convs=widths.bottleneck),
    "resstage3d18": partial(video.resstage3d, depth=18, convs=widths.basic),
    "resstage3d50": partial(video.resstage3d, depth=50, convs=widths.bottleneck),
    "iresnet3d18": partial(video.iresnet3d, depth=18, convs=widths.basic),
    "iresnet3d50": partial(video.iresnet3d, depth=50, convs=widths.bottleneck),
    "resgroup3d50": partial(video.resgroup3d, depth=50, convs=widths.resgroup),
    "iresgroup3d50": partial(video.iresnet3d, depth=50, convs=widths.resgroup),
}


VARIANTS = ("_v1", "_released")
"""Suffixes of networks that differ from the one without in strides (the first 1x1 in place of the 3x3) or in
where the shortcut starts. Names and shapes of all tensors are the same."""


def look_alikes(name: str) -> list[str]:
    """Other networks whose tensors have the names and shapes of those of the network called `name`."""
    plain = name
    for suffix in VARIANTS:
        plain = plain.removesuffix(suffix)
    family = (plain, *(f"{plain}{suffix}" for suffix in VARIANTS))
    return [other for other in family if other in NAMES and other != name]


def names(pattern: str = "*") -> list[str]:
    """Names that match the shell-style `pattern`, in the papers' order."""
    return [name for name in NAMES if fnmatch.fnmatchcase(name, pattern)]


def arch(name: str) -> Arch:
    """The network called `name`.

    Raises:
        ConfigError: There is none; the message names the nearest ones.
    """
    if name not in NAMES:
        raise ConfigError(f"no model {name!r}: {nearest(name, NAMES)}")
    return NAMES[name](name)
