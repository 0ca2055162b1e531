"""Every network by name: one literal dict, and the two ways into it."""

import fnmatch
from collections.abc import Callable, Mapping
from functools import partial

from residua.spec import widths
from residua.spec.arch import Arch
from residua.spec.record import nearest
from residua.spec.zoo.baselines import smallconvnet
from residua.spec.zoo.he2015 import cifar_plain, cifar_resnet, plain, resnet

NAMES: Mapping[str, Callable[[str], Arch]] = {
    "plain18": partial(plain, depth=18),
    "plain34": partial(plain, depth=34),
    "resnet18": partial(resnet, depth=18, convs=widths.basic),
    "resnet34": partial(resnet, depth=34, convs=widths.basic),
    "resnet50": partial(resnet, depth=50, convs=widths.bottleneck),
    "resnet101": partial(resnet, depth=101, convs=widths.bottleneck),
    "resnet152": partial(resnet, depth=152, convs=widths.bottleneck),
    "resnet50_v1": partial(resnet, depth=50, convs=widths.bottleneck_v1),
    "resnet101_v1": partial(resnet, depth=101, convs=widths.bottleneck_v1),
    "resnet152_v1": partial(resnet, depth=152, convs=widths.bottleneck_v1),
    "resnet18_a": partial(resnet, depth=18, convs=widths.basic, option="A"),
    "resnet18_c": partial(resnet, depth=18, convs=widths.basic, option="C"),
    "resnet34_a": partial(resnet, depth=34, convs=widths.basic, option="A"),
    "resnet34_c": partial(resnet, depth=34, convs=widths.basic, option="C"),
    "cifar_plain20": partial(cifar_plain, depth=20),
    "cifar_plain32": partial(cifar_plain, depth=32),
    "cifar_plain44": partial(cifar_plain, depth=44),
    "cifar_plain56": partial(cifar_plain, depth=56),
    "cifar_plain110": partial(cifar_plain, depth=110),
    "cifar_resnet20": partial(cifar_resnet, depth=20),
    "cifar_resnet32": partial(cifar_resnet, depth=32),
    "cifar_resnet44": partial(cifar_resnet, depth=44),
    "cifar_resnet56": partial(cifar_resnet, depth=56),
    "cifar_resnet110": partial(cifar_resnet, depth=110),
    "cifar_resnet1202": partial(cifar_resnet, depth=1202),
    "smallconvnet": smallconvnet,
}


def names(pattern: str = "*") -> list[str]:
    """Names that match the shell-style `pattern`, in the papers' order."""
    return [name for name in NAMES if fnmatch.fnmatchcase(name, pattern)]


def arch(name: str) -> Arch:
    """The network called `name`. ValueError offers the nearest names."""
    if name not in NAMES:
        raise ValueError(f"no model {name!r}: {nearest(name, NAMES)}")
    return NAMES[name](name)
