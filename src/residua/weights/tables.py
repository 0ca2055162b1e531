"""One table of names per source: their layer on the left, ours on the right."""

from collections.abc import Mapping
from dataclasses import replace

from residua.weights.dialect import Dialect

RESIDUA = Dialect("residua", (("{layer}", "{layer}"),))
"""Our own names."""

LAYERS = (
    ("conv1", "stem.conv1"),
    ("bn1", "stem.norm1"),
    ("layer{stage}.{block}.conv{n}", "stages.{stage}.{block}.residual.conv{n}"),
    ("layer{stage}.{block}.bn{n}", "stages.{stage}.{block}.residual.norm{n}"),
    ("layer{stage}.{block}.conv{n}", "stages.{stage}.{block}.before.conv{n}"),
    ("layer{stage}.{block}.bn{n}", "stages.{stage}.{block}.before.norm{n}"),
)
"""What torchvision began and most others kept; a plain block has all its layers before the brackets."""

TORCHVISION = Dialect(
    "torchvision",
    (
        *LAYERS,
        ("layer{stage}.{block}.downsample.0", "stages.{stage}.{block}.shortcut.conv1"),
        ("layer{stage}.{block}.downsample.1", "stages.{stage}.{block}.shortcut.norm1"),
        ("fc", "head.linear1"),
    ),
)
"""`torchvision.models.resnet`; a plain net of the same depth has the same names without `downsample`."""

CIFAR = Dialect(
    "cifar",
    (
        *LAYERS,
        ("layer{stage}.{block}.shortcut.0", "stages.{stage}.{block}.shortcut.conv1"),
        ("layer{stage}.{block}.shortcut.1", "stages.{stage}.{block}.shortcut.norm1"),
        ("linear", "head.linear1"),
    ),
)
"""github.com/akamaster/pytorch_resnet_cifar10 and its many copies; option A has no `shortcut` keys."""

IDUTA = Dialect(
    "iduta", (*TORCHVISION.rows, ("layer{stage}.{block}.bn{n}", "stages.{stage}.{block}.after.norm{n}"))
)
"""github.com/iduta/iresnet: torchvision's names, and `bn0` before the first convolution of a block."""

IDUTA_POOLED = Dialect(
    "iduta_pooled",
    tuple(
        (theirs.replace("sample.1", "sample.2").replace("sample.0", "sample.1"), ours)
        for theirs, ours in IDUTA.rows
    ),
)
"""The same with a max-pool first in every projection, as in its iResNet and iResGroup."""

DIALECTS: Mapping[str, Dialect] = {
    "residua": RESIDUA,
    "torchvision": TORCHVISION,
    "timm": replace(TORCHVISION, name="timm"),
    "cifar": CIFAR,
    "iduta": IDUTA,
    "iduta_pooled": IDUTA_POOLED,
}
"""Every source by name; `auto` takes the first that fits."""
