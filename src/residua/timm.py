"""Importing this module makes every network of residua a name for `timm.create_model`.

`residua_NAME` is always residua's network; the bare NAME too, unless timm has a network of that name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm.models
from timm.models import FeatureInfo, register_model

from residua.errors import ConfigError
from residua.jobs.models import create_model, list_models
from residua.nn.network import Features, Network
from residua.predict.folder import TIMM_PREFIX, timm_config
from residua.spec.named_network import CHANGES, arch_of
from residua.weights.load import FILE, check_size, head_keys, load

__all__: list[str] = []
"""The names registered in timm."""


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
    """Create the network called `name` with the attributes that timm's users expect.

    Args:
        name: A name of residua.
        pretrained: Load the weights that `config` names.
        config: timm's pretrained configuration.
        num_classes: Number of outputs; 0 removes the head, None keeps the default.
        in_chans: Channels of the image.
        features_only: Return maps of stages instead of logits.
        out_indices: Which maps.
        changes: Further options of `residua.create_model`.

    Raises:
        ConfigError: `pretrained` without weights in `config`.
    """
    options = {"num_classes": num_classes or config.get("num_classes"), "in_chans": in_chans, **changes}
    weights = _weights(name, config) if pretrained else None
    if weights:
        sizes = {option: value for option, value in options.items() if option in CHANGES}
        check_size(arch_of(name, **sizes), weights)
    network = create_model(name, **options)
    if weights:
        load(network, weights)
    preprocess, head = network.preprocess, head_keys(network)[0]
    cfg = {**timm_config(preprocess, classes=network.arch.classes, head=head), **config}
    cfg.update(architecture=TIMM_PREFIX + name, input_size=(preprocess.channels, *[preprocess.size] * 2))
    network.class_names = tuple(config.get("label_names") or ())
    if num_classes == 0:
        network.reset_classifier(0)
    classes = network.arch.classes if num_classes is None else num_classes
    fields: dict[str, Any] = {"pretrained_cfg": cfg, "default_cfg": cfg, "num_classes": classes}
    model: Network | Features = network
    if features_only:
        model = Features(network, out_indices)
        fields["feature_info"] = _feature_info(network, model.indices)
    for field, value in fields.items():
        setattr(model, field, value)
    return model


def _weights(name: str, config: dict[str, Any]) -> Path:
    if config.get("source") == "hf-hub":
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(config["hf_hub_id"], FILE))
    if config.get("file"):
        return Path(config["file"])
    raise ConfigError(f"residua ships no weights of {name}: give pretrained=False, or local-dir:FOLDER")


def _feature_info(network: Network, chosen: tuple[int, ...]) -> FeatureInfo:
    arch = network.arch
    names = ["stem", *(f"stages.{stage}" for stage in range(len(arch.stages)))]
    info = [
        {"num_chs": width, "reduction": stride, "module": name}
        for width, stride, name in zip(arch.widths(), arch.strides(), names, strict=True)
    ]
    return FeatureInfo(info, chosen)


def _register(name: str, timm_name: str) -> None:
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

    entry.__name__ = entry.__qualname__ = timm_name
    entry.__module__ = __name__
    entry.__doc__ = f"{name} of residua."
    globals()[timm_name] = register_model(entry)


for _name in list_models():
    _register(_name, TIMM_PREFIX + _name)
    if not timm.models.is_model(_name):
        _register(_name, _name)
