"""Wrong values in every JSON file of a run, a state and a saved folder: an error of residua, or it works.

A stranger, an editor or another tool wrote them. Digests are right, so that the values themselves are read.
"""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import residua as python
from residua.errors import CheckpointError, ConfigError, ResiduaError
from residua.jobs.compare import compare
from residua.jobs.prepare import prepare
from residua.jobs.train import create_run, fit_run
from residua.jobs.train_request import TrainRequest
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.spec.recipe import Budget, Optim, read_recipe
from residua.tasks import predict_task_of
from residua.training.network import initial_network
from residua.training.optim import make_optimizer
from residua.weights import store
from residua.weights.store import read
from small import arch, file_of, recipe

LARGE = int("9" * 4000)
WRONG = (None, True, -1, LARGE, float("inf"), "x", [], {}, [None])
TEXTS = ("[" * 100_000, '{"a":' * 100_000, "9" * 5000, "NaN", "", "\0", "\udcff", "null", "[]", "3", '"x"')


def places(plain: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside `plain`; of a list, of the first item."""
    listed = enumerate(plain[:1]) if isinstance(plain, list) else ()
    for name, value in plain.items() if isinstance(plain, dict) else listed:
        yield (*before, name)
        yield from places(value, (*before, name))


def forgeries(plain: Any) -> Iterator[tuple[str, str]]:
    """`plain` as JSON with one value replaced or left out, and what was done."""
    for path in places(plain):
        for wrong in (*WRONG, ...):
            forged = inside = copy.deepcopy(plain)
            for step in path[:-1]:
                inside = inside[step]
            if wrong is ...:
                del inside[path[-1]]
            else:
                inside[path[-1]] = wrong
            yield f"{'.'.join(map(str, path))} = {wrong!s:.40}", json.dumps(forged)


def refuses(what: str, act: Callable[[], object]) -> bool:
    """Whether `act` ends with an error of residua in a line of bearable length; no other error may come."""
    try:
        act()
    except Exception as error:
        if not isinstance(error, ResiduaError) or len(str(error)) > 2000:
            pytest.fail(f"{what}: {type(error).__name__}: {error!s:.300}")
        return True
    return False


def texts_of(file: Path) -> list[tuple[str, bytes]]:
    """Wrong contents of the JSON `file`, and what is wrong with each."""
    plain = json.loads(file.read_text().splitlines()[0] if file.suffix == ".jsonl" else file.read_text())
    pairs = [
        *((text[:40], text) for text in TEXTS),
        *forgeries({**plain, "arch": 3} if "arch" in plain else plain),
    ]
    return [(what, text.encode("utf-8", "surrogateescape")) for what, text in pairs]


@pytest.fixture(scope="module")
def original(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of two epochs, which went back once."""
    folder = tmp_path_factory.mktemp("original")
    small = recipe("", arch=arch(), budget=Budget(epochs=2, batch_size=12), optim=Optim(kind="adamw"))
    prepared = prepare(TrainRequest(str(photos), recipe=str(file_of(small, folder / "recipe.json"))))
    run = create_run(prepared, folder / "run")
    fit_run(run, prepared)
    run.record_rollback(2)
    run.record_environment_changes(["torch is 2, was 1"])
    return run


@pytest.fixture
def run(original: Run, tmp_path: Path) -> Run:
    """A copy to be forged."""
    return Run(shutil.copytree(original.path, tmp_path / "run"))


def read_all(run: Run) -> object:
    """What evaluation, resume and report read of a run beside its recipe and states."""
    facts = run.identity, run.rollbacks, run.job_id, run.environment.hardware, run.environment.software
    return (
        facts,
        run.environment_changes({"device": "cpu", "processes": 1}),
        run.epochs("epoch", "train_error", "test_error"),
    )


@pytest.mark.parametrize("name", ["environment.json", "rollbacks.json", "data.json", "metrics.jsonl"])
def test_a_wrong_value_beside_the_states_is_refused_or_not_needed(name: str, run: Run) -> None:
    file = run.path / name
    texts, refused = texts_of(file), 0
    read_all(run)
    for what, text in texts:
        file.write_bytes(text)
        refused += refuses(f"{name}: {what}", lambda: read_all(run))
    assert refused > len(texts) / 3


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("environment.json", "versions", 3),
        ("environment.json", "cores", "two"),
        ("data.json", "classes", 5),
        ("data.json", "unreadable", [1]),
    ],
)
def test_a_wrong_value_is_told_with_its_file_and_field(name: str, field: str, wrong: Any, run: Run) -> None:
    file = run.path / name
    file.write_text(json.dumps({**json.loads(file.read_text()), field: wrong}))
    with pytest.raises(CheckpointError, match=f"{name}.*{field}"):
        read_all(run)


def test_a_wrong_value_in_a_recipe_is_refused_or_means_something(run: Run) -> None:
    texts = [*forgeries(json.loads((run.path / "recipe.json").read_text()))]
    refused = [what for what, text in texts if refuses(what, partial(read_recipe, text))]
    assert len(refused) > len(texts) / 2
    for text in TEXTS:
        with pytest.raises(ConfigError):
            read_recipe(text)


SAMPLES = {
    "environment.json": ['{"versions": 3}', "[" * 100_000],
    "rollbacks.json": ['["x"]', "[" * 100_000],
    "data.json": ['{"classes": 3}', "[" * 100_000],
    "recipe.json": ["[" * 100_000, "9" * 5000],
    "metrics.jsonl": ["[" * 100_000, '{"step": 3}'],
    "checkpoints/spare.json": ["[" * 100_000, '{"files": 3, "digest": "x"}'],
    "finished.json": ["[" * 100_000],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_command_ends_in_an_error_of_residua_or_well(name: str, run: Run) -> None:
    """The report is lost, so that resuming writes it again from all files."""
    for text in SAMPLES[name]:
        broken = Run(shutil.copytree(run.path, run.path.parent / "broken"))
        (broken.path / "report.html").unlink()
        (broken.path / name).write_text(text)
        refuses(f"evaluate: {text[:40]}", partial(python.evaluate, broken.path))
        refuses(f"compare: {text[:40]}", partial(compare, [run.path, broken.path]))
        refuses(f"resume: {text[:40]}", partial(python.resume, broken.path))
        (broken.path / "finished.json").unlink(missing_ok=True)
        refuses(f"continue: {text[:40]}", partial(python.resume, broken.path, stop=lambda: True))
        shutil.rmtree(broken.path)


def test_wrong_facts_of_a_state_are_refused(run: Run) -> None:
    path, *others = checkpoint.list_checkpoints(run.checkpoints)
    for other in others:
        other.unlink()
    _, facts = read(path)
    facts |= {"arch": {"stages": []}, "detector": {"name": ""}}  # fields of a recipe, which are tested there
    texts, refused = [*forgeries(facts)], 0
    for what, text in texts:
        with path.open("wb") as file:
            store._write(file, store._new_header([], text), ())
        refused += refuses(f"load_newest: {what}", partial(checkpoint.load_newest, run.checkpoints))
        refused += refuses(f"predict_task_of: {what}", partial(predict_task_of, [path]))
        refused += refuses(f"load_weights: {what}", partial(checkpoint.load_weights, path, "auto"))
    assert refused > len(texts)


def forged_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of a state with one of them replaced, by what was done."""
    weight, moment = "model.head.linear1.weight", "optim.0.exp_avg"
    changes = {
        "weights of another shape": {weight: torch.zeros(3)},
        "weights of whole numbers": {weight: tensors[weight].long()},
        "complex weights": {weight: tensors[weight].to(torch.complex64)},
        "weights of no layer": {"model.more": torch.zeros(3)},
        "a moment of another shape": {moment: torch.zeros(3)},
        "a scalar moment": {moment: torch.zeros(())},
        "a moment of booleans": {moment: tensors[moment].bool()},
        "a moment of no weight": {"optim.100000.exp_avg": torch.zeros(3)},
        "a moment without number": {"optim.x.exp_avg": torch.zeros(3)},
        "a moment without name": {"optim.0": torch.zeros(3)},
        "a number of 5000 digits": {f"optim.{5000 * '1'}.exp_avg": torch.zeros(3)},
        "an unknown moment": {"optim.0.more": tensors[moment]},
        "a step of three": {"optim.0.step": torch.zeros(3)},
        "a step below 0": {"optim.0.step": torch.tensor(-1.0)},
        "a step that is no number": {"optim.0.step": torch.tensor(float("nan"))},
        "a step of no group": {"group.7.step": torch.tensor(1.0)},
        "another value of a group": {"group.0.lr": torch.tensor(1.0)},
    }
    without = {name: value for name, value in tensors.items() if name != moment}
    return {what: {**tensors, **change} for what, change in changes.items()} | {"no moment": without}


def test_a_state_with_wrong_tensors_is_refused(run: Run) -> None:
    state = checkpoint.load_newest(run.checkpoints)
    assert state
    network = initial_network(run.recipe, ("a", "b", "c"))
    optimizer = make_optimizer(network, run.recipe.optim)
    checkpoint.restore(state, network, optimizer)
    for what, tensors in forged_tensors(state.tensors).items():
        forged = replace(state, path=Path(what), tensors=tensors)
        with pytest.raises(CheckpointError, match=what):
            checkpoint.restore(forged, network, optimizer)


def test_wrong_values_beside_saved_weights_are_refused(run: Run, tmp_path: Path) -> None:
    network = checkpoint.load_weights(checkpoint.list_checkpoints(run.checkpoints)[0], "auto")[0]
    folder = python.save(network, tmp_path / "saved")
    texts, refused = texts_of(folder / "config.json"), 0
    for what, text in texts:
        (folder / "config.json").write_bytes(text)
        refuses(what, partial(predict_task_of, [folder]))
        refused += refuses(what, partial(python.load, folder))
    assert refused == len(texts)
