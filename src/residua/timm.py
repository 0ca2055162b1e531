"""Importing this makes every network of ours a name for `timm.create_model`.

`residua_NAME` always is ours; the bare NAME too, unless timm has it: its own names stay its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm.models
from timm.models import FeatureInfo, register_model

from residua.jobs.models import create_model, list_models
from residua.nn.network import Features, Network
from residua.predict.folder import TIMM_PREFIX, timm_config
from residua.weights.load import FILE, head_keys, load

__all__: list[str] = []
"""The names that timm was given."""


def make(
    name: str,
    *,
    pretrained: bool,
    config: dict[str, Any],
    num_classes: int | None,
    in_chans: int | None,
    features_only: bool,
    out_indices: Sequence[int] | None,
    changes: Mapping[str, Any],
) -> Network | Features:
    """The network called `name` as timm hands it out, with weights from `config` when `pretrained`.

    ValueError when there are none: residua ships no weights.
    """
    found = {"num_classes": num_classes or config.get("num_classes"), "in_chans": in_chans, **changes}
    network = create_model(name, **found)
    if pretrained:
        load(network, _weights(name, config))
    preprocess, head = network.preprocess, head_keys(network)[0]
    shown = {**timm_config(preprocess, classes=network.arch.classes, head=head), **config}
    shown.update(architecture=TIMM_PREFIX + name, input_size=(preprocess.channels, *[preprocess.size] * 2))
    network.class_names = tuple(config.get("label_names") or ())
    if num_classes == 0:
        network.reset_classifier(0)
    classes = network.arch.classes if num_classes is None else num_classes
    fields: dict[str, Any] = {"pretrained_cfg": shown, "default_cfg": shown, "num_classes": classes}
    made: Network | Features = network
    if features_only:
        made = Features(network, out_indices)
        fields["feature_info"] = _feature_info(network, made.indices)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def _weights(name: str, config: dict[str, Any]) -> Path:
    if config.get("source") == "hf-hub":
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(config["hf_hub_id"], FILE))
    if config.get("file"):
        return Path(config["file"])
    raise ValueError(f"residua ships no weights of {name}: give pretrained=False, or local-dir:FOLDER")


def _feature_info(network: Network, chosen: tuple[int, ...]) -> FeatureInfo:
    arch = network.arch
    names = ["stem", *(f"stages.{stage}" for stage in range(len(arch.stages)))]
    info = [
        {"num_chs": width, "reduction": stride, "module": name}
        for width, stride, name in zip(arch.widths(), arch.strides(), names, strict=True)
    ]
    return FeatureInfo(info, chosen)


def _register(name: str, called: str) -> None:
    def entry(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: dict[str, Any] | None = None,
        cache_dir: object = None,
        *,
        num_classes: int | None = None,
        in_chans: int | None = None,
        features_only: bool = False,
        out_indices: Sequence[int] | None = None,
        **changes: Any,
    ) -> Network | Features:
        return make(
            name,
            pretrained=pretrained,
            config={**(pretrained_cfg or {}), **(pretrained_cfg_overlay or {})},
            num_classes=num_classes,
            in_chans=in_chans,
            features_only=features_only,
            out_indices=out_indices,
            changes=changes,
        )

    entry.__name__ = entry.__qualname__ = called
    entry.__module__ = __name__
    entry.__doc__ = f"{name} of residua."
    globals()[called] = register_model(entry)


for _name in list_models():
    _register(_name, TIMM_PREFIX + _name)
    if not timm.models.is_model(_name):
        _register(_name, _name)
