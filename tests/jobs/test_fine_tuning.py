"""From pretrained weights to a run: the probe, training from it, and the weights that are kept."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

import residua
from residua.data.inner_split import split_training
from residua.data.open import open_dataset
from residua.errors import ConfigError
from residua.events import EpochRow, Event, Note, PlanLine
from residua.jobs.dry_run import plan_run
from residua.jobs.prepare import prepare, resolve
from residua.jobs.probing import balance_note
from residua.jobs.train import create_run, fit_run, resume
from residua.jobs.train_request import TrainRequest
from residua.predict.run_summary import last_measure
from residua.report.run_page import error_curve, error_figure
from residua.runs import checkpoint
from residua.runs.probe_record import read_probe
from residua.runs.run import Run
from residua.training.history import RunHistory
from small import after, arch, file_of, photo_folder, recipe, rows, weights

SHORT = {"budget.epochs": 2, "budget.batch_size": 8, "data.num_workers": 0, "plan.device": "cpu"}
CHANGES = tuple((name, str(value)) for name, value in SHORT.items())


def results(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note) and event.text.startswith("result")]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("photos") / "photos", count=15)


@pytest.fixture(scope="module")
def source(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A trained run whose weights others begin from."""
    folder = tmp_path_factory.mktemp("source")
    return residua.train(photos, recipe=str(file_of(recipe(), folder / "r.json")), out=folder / "run")


@pytest.fixture(scope="module")
def tuned(photos: Path, source: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return residua.train(
        photos, weights=source.path, changes=SHORT, out=tmp_path_factory.mktemp("tuned") / "run"
    )


def test_weights_without_a_recipe_are_probed_and_fine_tuned(tuned: Run) -> None:
    assert (tuned.recipe.name, tuned.recipe.probe) == ("finetune", "first")
    assert [row["epoch"] for row in tuned.metrics] == [0, 1, 2]
    assert tuned.metrics[0]["step"] == 0
    assert not any(name.startswith("ema_") for row in tuned.metrics for name in row)  # one set is chosen from
    record = read_probe(tuned.path)
    assert record
    assert (record.n, record.folds, record.split) == (45, 5, "all")
    assert record.right > 0.8 * record.n


def test_the_held_out_images_choose_and_the_test_images_are_seen_once(photos: Path, tuned: Run) -> None:
    dataset = open_dataset(str(photos), val_fraction=0.2)
    learned = split_training(dataset, tuned.recipe.data.inner_val_fraction)
    titles = [
        {part.title(i) for i in range(len(part))} for part in (learned.train, learned.test, dataset.test)
    ]
    assert len(set.union(*titles)) == sum(map(len, titles)) == 45
    best = min(tuned.metrics, key=lambda row: (row["test_error"], row["test_loss"]))
    assert tuned.result["epoch"] == best["epoch"]
    assert tuned.result["n"] == len(dataset.test)
    score = residua.evaluate(tuned)[0]
    assert score.error == pytest.approx(tuned.result["test_error"])
    assert score.weights == "best"
    assert residua.load(tuned.path).weights == "best"


def test_a_page_says_what_training_began_from(source: Run, tuned: Run) -> None:
    scratch, from_weights = ((run.path / "report.html").read_text() for run in (source, tuned))
    assert "from scratch" in scratch
    assert "from scratch" not in from_weights


def test_pages_call_the_images_that_choose_held_out(tuned: Run) -> None:
    page = (tuned.path / "report.html").read_text()
    assert "held-out training images" in page
    assert page.count("test error") == 1  # the number of the kept weights, at the top
    assert f"n = {tuned.result['n']}" in page
    assert error_curve(tuned, "").evaluated == "held out"
    assert "test" not in error_figure(tuned).alternative
    assert "% test" not in (tuned.path / "report.html").read_text()
    assert "held-out" in RunHistory(tuned, tuned.recipe, residua.load(tuned.path).network).early_stop_note


def test_an_unfinished_run_has_no_test_error_yet(tuned: Run, tmp_path: Path) -> None:
    run = Run(copytree(tuned.path, tmp_path / "run"))
    (run.path / "finished.json").unlink()
    measure = last_measure(run)
    assert measure
    assert "held-out" in measure[0]


def test_a_run_from_its_weights_begins_with_those_that_were_kept(tuned: Run) -> None:
    assert checkpoint.weights_file(tuned.path).name == checkpoint.BEST


@pytest.mark.parametrize("asks", [1, 4, 9])
def test_an_interrupted_fine_tuning_goes_on_bit_for_bit(
    asks: int, photos: Path, source: Run, tuned: Run, tmp_path: Path
) -> None:
    request = TrainRequest(str(photos), weights=str(source.path), changes=CHANGES)
    prepared = prepare(request)
    run = create_run(prepared, tmp_path / "run")
    fit_run(run, prepared, stop=after(asks))
    assert not run.finished
    resume(run.path)
    assert rows(run) == rows(tuned)
    assert weights(run) == weights(tuned)
    assert run.result == tuned.result


def test_the_probe_alone_is_a_finished_run(photos: Path, source: Run, tmp_path: Path) -> None:
    events: list[Event] = []
    run = residua.train(
        photos, recipe="probe", weights=source.path, out=tmp_path / "run", callback=events.append
    )
    assert run.finished
    assert [row["epoch"] for row in run.metrics] == [0]
    assert not run.result  # its row is of the test images
    assert residua.evaluate(run)[0].error == pytest.approx(run.metrics[0]["test_error"])
    assert sum(isinstance(event, EpochRow) for event in events) == 1
    lines = [event.text for event in events if isinstance(event, PlanLine)]
    assert any(line.startswith("knn") for line in lines)
    (length,) = (line for line in lines if line.startswith("length"))
    assert "no step" in length
    (result,) = results(events)
    assert f"of the {run.identity['test']} test images" in result
    resume(run.path)
    assert len(run.metrics) == 1


@pytest.mark.battery  # two runs, one of them interrupted
def test_a_probe_that_is_kept_has_learned_from_all_training_images(
    photos: Path, source: Run, tmp_path: Path
) -> None:
    still = (*CHANGES, ("optim.lr", "1e-12"), ("data.inner_val_fraction", "0.5"))
    request = TrainRequest(str(photos), weights=str(source.path), changes=still)
    prepared = prepare(request)
    run = create_run(prepared, tmp_path / "run")
    fit_run(run, prepared)
    assert run.result["epoch"] == 0
    assert "then fitted to all" in (run.path / "report.html").read_text()
    alone = prepare(TrainRequest(str(photos), recipe="probe", weights=str(source.path)))
    kept, half = residua.load(run.path).network.get_classifier(), prepared.probe_of_all
    assert half
    assert kept.weight.equal(half.weight)
    first = residua.load(run.checkpoints / "first.safetensors").network
    assert not kept.weight.equal(first.get_classifier().weight)
    agree = np.corrcoef(
        kept.weight.detach().flatten(), alone.network.get_classifier().weight.detach().flatten()
    )
    assert agree[0, 1] > 0.9
    assert residua.evaluate(run)[0].error == pytest.approx(run.result["test_error"])
    before = weights_of_best(run)
    anew = prepare(request)
    again = create_run(anew, tmp_path / "again")
    fit_run(again, anew, stop=after(5))
    resume(again.path)
    assert weights_of_best(again) == before
    (again.path / "report.html").unlink()
    resume(again.path)
    assert weights_of_best(again) == before


def weights_of_best(run: Run) -> bytes:
    return (run.checkpoints / checkpoint.BEST).read_bytes()


def test_only_the_last_layer_of_a_probe_differs(photos: Path, source: Run, tmp_path: Path) -> None:
    run = residua.train(photos, recipe="probe", weights=source.path, out=tmp_path / "run")
    before, now = residua.load(source.path).network.state_dict(), residua.load(run.path).network.state_dict()
    changed = {name for name in before if not before[name].equal(now[name])}
    assert changed == {name for name in before if name.startswith("head.")}


def test_few_images_of_a_class_are_probed_alone(source: Run, tmp_path: Path) -> None:
    few = photo_folder(tmp_path / "few", count=4)
    decided, _ = resolve(TrainRequest(str(few), weights=str(source.path)))
    assert (decided.name, decided.probe, decided.data.inner_val_fraction) == ("probe", "only", 0)
    prepared = prepare(TrainRequest(str(few), weights=str(source.path)))
    assert any(line.startswith("few") and "5 of each class" in line for line in prepared.notes)


def test_without_time_to_train_the_probe_is_the_run(photos: Path, source: Run) -> None:
    prepared = prepare(TrainRequest(str(photos), weights=str(source.path), minutes=0.01))
    assert prepared.recipe.probe == "only"
    assert any("no time" in line for line in prepared.notes)
    assert not any(line.startswith("few") for line in prepared.notes)
    fitted = prepare(TrainRequest(str(photos), weights=str(source.path), changes=CHANGES)).probe_of_all
    assert fitted
    assert prepared.network.get_classifier().weight.equal(fitted.weight)


def test_a_dry_run_fits_no_probe(photos: Path, source: Run, tmp_path: Path) -> None:
    plan = plan_run(TrainRequest(str(photos), weights=str(source.path), changes=CHANGES), tmp_path / "run")
    assert any("dry run fits none" in line for line in plan.lines)
    assert not any("folds" in line for line in plan.lines)


def test_classes_of_unequal_size_are_weighted(source: Run, tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "odd", count=7)
    photo_folder(folder, count=30, colours=["red"])
    request = TrainRequest(str(folder), weights=str(source.path))
    decided, opened = resolve(request)
    assert decided.data.balance == "weights"
    assert "data.balance" in balance_note(decided, opened.dataset, settings=())
    plain = TrainRequest(str(folder), weights=str(source.path), changes=(("data.balance", "none"),))
    assert resolve(plain)[0].data.balance == "none"


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ({"recipe": "probe", "from_scratch": True}, "scratch"),
        ({"recipe": "probe", "epochs": 3}, "epochs is 3"),
        ({"weights": "resnet18", "from_scratch": True}, "resnet18"),
        ({"model": "cifar_resnet20", "from_scratch": True, "folds": 5}, "folds 5"),
        ({"changes": (("probe", "first"),), "model": "cifar_resnet20"}, "--weights"),
    ],
)
def test_weights_that_are_refused_or_missing(photos: Path, request_: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        prepare(TrainRequest(str(photos), **request_))  # type: ignore[arg-type]


def test_offline_training_from_scratch_says_what_would_help(photos: Path) -> None:
    prepared = prepare(
        TrainRequest(str(photos), model="resnet18", epochs=1, changes=(("budget.steps", "1"),))
    )
    assert (prepared.recipe.weights, prepared.recipe.name) == ("", "quick.small")
    assert any("residua weights get resnet18" in line for line in prepared.notes)


@pytest.mark.parametrize("quiet", [{"from_scratch": True}, {"recipe": "quick.small"}])
def test_who_wants_no_weights_hears_nothing_of_them(photos: Path, quiet: dict[str, object]) -> None:
    few = (("budget.steps", "1"),)
    prepared = prepare(TrainRequest(str(photos), model="cifar_resnet20", changes=few, **quiet))  # type: ignore[arg-type]
    assert not any("weights get" in line for line in prepared.notes)


def test_the_result_is_told_with_its_interval(photos: Path, source: Run, tmp_path: Path) -> None:
    notes: list[Event] = []
    residua.train(photos, weights=source.path, changes=SHORT, out=tmp_path / "run", callback=notes.append)
    (line,) = results(notes)
    assert "interval" in line
    assert "epoch" in line or "probe" in line


def test_the_head_of_the_first_weights_is_that_of_the_probe(photos: Path, source: Run) -> None:
    prepared = prepare(TrainRequest(str(photos), weights=str(source.path), changes=CHANGES))
    head = prepared.network.get_classifier().weight
    drawn = residua.load(source.path).network.get_classifier().weight
    assert prepared.stores_weights
    assert not np.allclose(head.detach(), drawn.detach())
    assert arch().classes == len(head)
