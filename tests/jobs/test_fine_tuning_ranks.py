"""A run that begins with a linear probe on two ranks: one fits, both train from it."""

from functools import partial
from pathlib import Path

import pytest

import residua
from ranks import together
from residua.jobs.train import fit_run, start_or_join
from residua.jobs.train_request import TrainRequest
from residua.runs.probe_record import read_probe
from residua.runs.run import Run
from residua.training.processes.world import SINGLE_PROCESS, World
from small import difference, file_of, photo_folder, recipe, rows, weights


def train(source: Run, photos: Path, out: Path, changes: tuple[tuple[str, str], ...], world: World) -> None:
    """Train from the weights of `source` in this rank; every rank writes the digest of what it ends with."""
    request = TrainRequest(str(photos), weights=str(source.path), changes=changes)
    run, prepared = start_or_join(request, out, world=world)
    fit_run(run, prepared, world=world)
    heads = [float(value.sum().detach()) for value in prepared.network.state_dict().values()]
    (out.parent / f"{out.name}.{world.rank}").write_text(repr(heads))


@pytest.mark.parametrize("name", [pytest.param("finetune", marks=pytest.mark.battery), "probe"])
def test_two_ranks_begin_from_one_probe_and_end_with_the_same_weights(name: str, tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos", count=15)
    source = residua.train(
        photos, recipe=str(file_of(recipe(), tmp_path / "r.json")), out=tmp_path / "source"
    )
    changes: tuple[tuple[str, str], ...] = (("data.num_workers", "0"), ("plan.device", "cpu"))
    if name == "finetune":
        changes += (("budget.epochs", "2"), ("budget.batch_size", "8"))
    else:
        changes += (("probe", "only"), ("data.inner_val_fraction", "0"))
    work = partial(train, source, photos)
    together(2, lambda world: work(tmp_path / "two", changes, world))
    work(tmp_path / "one", changes, SINGLE_PROCESS)
    assert (tmp_path / "two.0").read_text() == (tmp_path / "two.1").read_text()
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    assert read_probe(two.path) == read_probe(one.path)
    first = "checkpoints/first.safetensors"
    assert (two.path / first).read_bytes() == (one.path / first).read_bytes()
    begun, same = rows(one)[0], rows(two)[0]
    assert {key: same[key] for key in begun} == pytest.approx(begun)
    assert len(rows(two)) == len(rows(one))
    assert two.result.get("n") == one.result.get("n")
    if name == "probe":
        assert weights(two) == weights(one)
    else:
        assert difference(one, two) < 0.1  # sums over ranks have another order
        assert residua.evaluate(two)[0].error == pytest.approx(two.result["test_error"])
