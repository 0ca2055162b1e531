"""Importing this module makes every network of residua a name for `timm.create_model`.

`residua_NAME` is always residua's network; the bare NAME too, unless timm has a network of that name.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import timm.models
import torch
from timm.models import (
    FeatureDictNet,
    FeatureGraphNet,
    FeatureHookNet,
    FeatureInfo,
    FeatureListNet,
    register_model,
)
from timm.models._features import FeatureGetterNet
from timm.models._pretrained import PretrainedCfg
from torch import nn

from residua.errors import ConfigError
from residua.jobs.models import create_model, list_models
from residua.nn.initialise import zero_last_layers
from residua.nn.network import Features, Network, take_indices
from residua.predict.folder import TIMM_PREFIX, timm_config
from residua.spec.named_network import CHANGES, arch_of
from residua.spec.record import nearest
from residua.weights.load import FILE, check_size, load

__all__: list[str] = []
"""The names registered in timm."""

OPTIONS = (*CHANGES, "norm", "zero_init_last", "weights")
"""Options of `residua.create_model` that pass through `timm.create_model`."""
AUTO = "auto"
"""The best published weights of a network, which bring what it reads."""
OWN_OPTIONS = ("features_only", "out_indices", "feature_cls", "feature_cfg", "device", "dtype")
"""Options of timm's networks that are read here."""
FEATURE_CLASSES: Mapping[str, Callable[..., nn.Module]] = {
    "getter": FeatureGetterNet,
    "hook": FeatureHookNet,
    "list": FeatureListNet,
    "dict": FeatureDictNet,
    "fx": FeatureGraphNet,
}
"""Values of `feature_cls`: timm's ways to get maps out of a network."""
FLATTENED = (FeatureListNet, FeatureDictNet)
"""Those that run the modules of the network themselves."""


class UnknownOptionError(ConfigError, TypeError):
    """An option that no network of residua has; timm's own networks raise TypeError."""


def make(name: str, *, pretrained: bool, config: Mapping[str, Any], options: Mapping[str, Any]) -> nn.Module:
    """Create the network called `name` with the attributes that timm's users expect.

    Args:
        name: A name of residua.
        pretrained: Load the weights that `config` names, else the best that are published.
        config: timm's pretrained configuration.
        options: `OPTIONS`, of which `num_classes=0` removes the last layer and `global_pool=""` the head;
            `features_only`, `out_indices`, `feature_cls` and `feature_cfg` choose maps; `device` and `dtype`.
            `zero_init_last` is True where it is not given, as in timm: without it, a new network of 1,001
            layers overflows in `eval()`, where new norms do not normalise.

    Returns:
        A Network; with `features_only` a module that returns a list of maps, without the layers behind them.

    Raises:
        ConfigError: A value is wrong, or `pretrained` is asked and no weights are published.
        UnknownOptionError: No network has such an option.
    """
    for unknown in options.keys() - {*OPTIONS, *OWN_OPTIONS, "cache_dir", "pretrained_model_args"}:
        raise UnknownOptionError(
            f"no option {unknown!r} of {name}: {nearest(unknown, (*OPTIONS, *OWN_OPTIONS))}"
        )
    values = {option: options[option] for option in OPTIONS if options.get(option) is not None}
    classes, pool = values.get("num_classes"), values.get("global_pool")
    values["num_classes"] = classes or config.get("num_classes")
    values["global_pool"] = pool or None
    weights = _weights(config, options.get("cache_dir")) if pretrained else None
    if isinstance(weights, Path):
        sizes = {option: value for option, value in values.items() if option in CHANGES}
        check_size(arch_of(name, **sizes), weights)
    elif weights:
        values["weights"] = weights
    with torch.device(options["device"]) if options.get("device") is not None else nullcontext():
        network: Network = create_model(name, **values)
        if options.get("zero_init_last") is None and not values.get("weights"):
            zero_last_layers(network)
    if isinstance(weights, Path):
        load(network, weights)
    network.class_names = tuple(config.get("label_names") or network.class_names)
    own = timm_config(network.arch)
    cfg = {**own, **config, **(own if weights == AUTO else {}), "architecture": TIMM_PREFIX + name}
    cfg["input_size"] = tuple(network.arch.input_shape)
    if classes == 0 or pool == "":
        network.reset_classifier(classes or 0, pool)
    if options.get("dtype") is not None:
        network.to(options["dtype"])
    if options.get("features_only"):
        return _features(network, cfg, options)
    setattr(network, "pretrained_cfg", cfg)  # noqa: B010 (an attribute that nn.Module does not declare)
    setattr(network, "default_cfg", cfg)  # noqa: B010
    return network


def _weights(config: Mapping[str, Any], cache_dir: str | Path | None) -> Path | str:
    """The file that `config` names; `auto`, the best published weights, where it names none."""
    if config.get("source") == "hf-hub":
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(config["hf_hub_id"], FILE, cache_dir=cache_dir))
    if config.get("file"):
        return Path(config["file"])
    return AUTO


def _features(network: Network, cfg: dict[str, Any], options: Mapping[str, Any]) -> nn.Module:
    """A module that returns the chosen maps of `network`, which loses the layers behind them."""
    extra = dict(options.get("feature_cfg") or {})
    chosen = options.get("feature_cls") or extra.pop("feature_cls", None)
    indices_there = extra.pop("out_indices", None)
    indices = take_indices(network.arch, options.get("out_indices", indices_there))
    module: nn.Module
    info: Any
    if chosen is None:
        network.prune_intermediate_layers(indices, prune_norm=max(indices) < len(network.stages))
        module = Features(network, indices)
        info = FeatureInfo(network.feature_info, indices)
    else:
        module = _feature_class(network, chosen)(network, out_indices=indices, **extra)
        info = module.feature_info
    plain = {field: value for field, value in cfg.items() if field not in ("num_classes", "classifier")}
    fields = {
        "pretrained_cfg": plain,
        "default_cfg": plain,
        "feature_info": info,
        "in_chans": network.in_chans,
    }
    for field, value in fields.items():
        setattr(module, field, value)
    return module


def _feature_class(network: Network, chosen: Any) -> Callable[..., nn.Module]:
    """timm's class for `feature_cls`, with the options that suit our modules."""
    if isinstance(chosen, str):
        if chosen.lower() not in FEATURE_CLASSES:
            raise ConfigError(f"no feature_cls {chosen!r}: {nearest(chosen, FEATURE_CLASSES)}")
        chosen = FEATURE_CLASSES[chosen.lower()]
    if chosen not in FLATTENED:
        feature_class: Callable[..., nn.Module] = chosen
        return feature_class
    if network.arch.is_flat or network.arch.segments > 1:
        raise ConfigError(f"feature_cls of {network.arch.name} cannot be list or dict: give 'getter'")
    return lambda model, **extra: chosen(model, **{"flatten_sequential": True, **extra})


def _plain(config: Any, name: str) -> dict[str, Any]:
    if isinstance(config, str):
        raise ConfigError(f"residua ships no weights {config!r} of {name}: leave pretrained_cfg out")
    plain = asdict(config) if isinstance(config, PretrainedCfg) else dict(config or {})
    return {field: value for field, value in plain.items() if value is not None}


def _register(name: str, timm_name: str) -> None:
    def entry(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: dict[str, Any] | None = None,
        **options: Any,
    ) -> nn.Module:
        config = {**_plain(pretrained_cfg, name), **(pretrained_cfg_overlay or {})}
        return make(name, pretrained=pretrained, config=config, options=options)

    entry.__name__ = entry.__qualname__ = timm_name
    entry.__module__ = __name__
    entry.__doc__ = f"{name} of residua."
    default_cfgs[timm_name] = timm_config(arch_of(name))
    globals()[timm_name] = register_model(entry)


default_cfgs: dict[str, dict[str, Any]] = {}
"""timm's name -> its configuration without weights, which `register_model` reads."""
for _name in list_models():
    _register(_name, TIMM_PREFIX + _name)
    if not timm.models.is_model(_name):
        _register(_name, _name)
