"""The card of a network on a hub: README.md with what was measured, and nothing that was not."""

import json
from dataclasses import replace
from pathlib import PurePath

from residua.nn.network import Network
from residua.nn.summary import describe_classes
from residua.predict.run_summary import data_name, epochs_text, last_measure, network_name
from residua.recipes.sentences import sentences
from residua.runs.run import Run
from residua.spec.printable import printable
from residua.spec.record import to_plain
from residua.version import __version__

_USE_IMAGES = """```python
import residua

classify = residua.from_pretrained("{repository}")
print(classify("photo.jpg").top(3))
```
"""
_USE_CLIPS = """```sh
hf download {repository} --local-dir {name}
residua predict {name} clip.mp4
```
"""


def model_card(network: Network, repository: str, *, run: Run | None = None, license_name: str = "") -> str:
    """The text of README.md for a network that is pushed to a hub.

    Args:
        network: The network, with the weights that are pushed.
        repository: `owner/name`.
        run: The run that trained it; without one the card tells nothing of data and training.
        license_name: The licence of the weights as hubs write it, e.g. `apache-2.0`; empty for unknown.

    Returns:
        Markdown after a head of YAML, which hubs read.
    """
    name = repository.rpartition("/")[2]
    head = "\n".join(_head(network, name, run, license_name))
    kind = "videos" if network.arch.clip else "images"
    use = _USE_CLIPS if network.arch.clip else _USE_IMAGES
    lines = [
        f"---\n{head}\n---\n",
        f"# {printable(name)}\n",
        f"`{network.arch.name}` for {kind}: {describe_classes(network.class_names, network.arch.classes)}. "
        f"Made with residua {__version__}.\n",
        "## Use it\n",
        use.format(repository=repository, name=name),
        *(_of_run(run, network) if run else ["Nothing is known of its training.\n"]),
        *_of_pretraining(network),
    ]
    return "\n".join(lines)


def _of_pretraining(network: Network) -> list[str]:
    """The published weights from which its training began, and their licence; empty for none."""
    if (origin := network.pretrained_from) is None:
        return []
    published = f" They are published at {origin.source}." if origin.source.startswith("https://") else ""
    what = "The network has these published weights, or its training began from them"
    return ["## Pretrained weights\n", f"{what}: {printable(origin.text)}.{published}\n"]


def _head(network: Network, name: str, run: Run | None, license_name: str) -> list[str]:
    """Lines of YAML; JSON is YAML, and quotes whatever a name holds."""
    pipeline = "video-classification" if network.arch.clip else "image-classification"
    lines = ["library_name: residua", f"pipeline_tag: {pipeline}"]
    if license_name:
        lines.append(f"license: {json.dumps(license_name)}")
    lines.append(f"tags: {json.dumps(['residua', network.arch.family, pipeline])}")
    if run and (error := _last_error(run)) is not None:
        source = data_name(run.recipe)
        metric = {"type": "accuracy", "value": round(1 - error / 100, 6), "name": "accuracy"}
        result = {
            "task": {"type": pipeline},
            "dataset": {"type": source, "name": source, "split": "validation"},
            "metrics": [metric],
        }
        lines.append(f"model-index: {json.dumps([{'name': name, 'results': [result]}])}")
    return lines


def _last_error(run: Run) -> float | None:
    """Test error of the weights that are pushed, in percent; None where there is none."""
    rows = run.metrics
    if result := run.result:
        return float(result["test_error"])
    if run.recipe.data.inner_val_fraction:  # its rows are of training images
        return None
    return rows[-1].get("ema_test_error", rows[-1].get("test_error")) if rows else None


def _of_run(run: Run, network: Network) -> list[str]:
    recipe, identity, environment = run.recipe, run.identity, run.environment
    measure = last_measure(run)
    lines = ["## Measured\n"]
    if measure:
        view = "each clip" if recipe.arch.clip else "one centre crop of each image"
        lines.append(f"{measure[0].capitalize()}: {measure[1]}, {view} of the test or validation split.\n")
    else:
        lines.append("Nothing: no epoch was finished.\n")
    weights = network.pretrained_from.name if network.pretrained_from else PurePath(recipe.weights).name
    plain = to_plain(replace(recipe, weights=weights))
    plain["data"]["source"] = data_name(recipe)  # not the folders of the machine
    settings = {key: value for key, value in plain.items() if key not in ("arch", "detector")}
    return [
        *lines,
        "## Data\n",
        f"`{printable(data_name(recipe))}`: {identity['train']:,} training and {identity['test']:,} test or "
        f"validation examples of {len(identity['classes'])} classes.\n",
        "## Training\n",
        f"{network_name(recipe)}, {epochs_text(run, recipe)}, recipe `{recipe.name}`. "
        f"{' '.join(sentences(recipe))} {environment.hardware}; {environment.software}.\n",
        "<details><summary>All settings</summary>\n",
        f"```json\n{json.dumps(settings, indent=2, ensure_ascii=False)}\n```\n",
        "</details>\n",
    ]
