"""Evaluating runs alone, averaged and compared, and analysing them: from runs to files."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import residua
from eyes import Eyes
from few import few_of
from residua.analyse.study import distinct_parts
from residua.errors import CheckpointError, ConfigError
from residua.jobs.analyse import analyse
from residua.jobs.compare import changes, compare, save_changed
from residua.jobs.comparison_page import write_comparison
from residua.jobs.evaluate import evaluate_networks
from residua.jobs.tables import save
from residua.runs import checkpoint
from residua.runs.run import Run
from residua.tasks.classify.evaluations import ClassEvaluations
from residua.tasks.predict_task import EvaluationRequest
from residua.weights.store import publish
from small import Budget, arch, file_of, photo_folder, recipe, split_folder

STUDIES = ("responses", "gradients", "lesion", "paths", "activations", "features", "field")
FEW_STUDIES = ("responses", "lesion", "activations", "field")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_folder(tmp_path_factory.mktemp("judging") / "photos", train=12, val=6)


@pytest.fixture(scope="module")
def runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that learned for five epochs, and one that hardly did."""
    folder = tmp_path_factory.mktemp("runs")
    recipe_file = file_of(
        recipe("", arch=arch(), budget=Budget(epochs=5, batch_size=6)), folder / "recipe.json"
    )
    good = residua.train(photos, recipe=str(recipe_file), out=folder / "good")
    poor = residua.train(
        photos, recipe=str(recipe_file), epochs=1, changes={"optim.lr": 1e-4}, out=folder / "poor"
    )
    return good.path, poor.path


def evaluations(runs: Sequence[Path], *views: str, ensemble: bool = False) -> ClassEvaluations:
    results = evaluate_networks(runs, EvaluationRequest(views=views, ensemble=ensemble))
    assert isinstance(results, ClassEvaluations)
    return results


def test_every_view_gives_a_score_with_its_protocol(runs: tuple[Path, Path]) -> None:
    views = ["center", "flip", "10crop", "320", "multiscale"]
    scores = residua.evaluate(runs[0], views=views)
    assert [score.views for score in scores] == views
    assert {(score.n, score.weights, score.split) for score in scores} == {(18, "raw", "val")}
    assert all(score.macro and score.loss and score.ece for score in scores)
    assert scores[0] == residua.evaluate(runs[0])[0]


def test_batch_size_and_workers_change_no_score(runs: tuple[Path, Path]) -> None:
    views = ["center", "flip", "multiscale"]
    usual = residua.evaluate(runs[0], views=views, device="cpu")
    ours = residua.evaluate(runs[0], views=views, device="cpu", batch_size=5, workers=1)
    assert [score.top1 for score in ours] == [score.top1 for score in usual]
    for wrong in ({"batch_size": -1}, {"workers": -2}, {"device": "tpu"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            residua.evaluate(runs[0], **wrong)  # type: ignore[arg-type]


def test_an_ensemble_averages_probabilities(runs: tuple[Path, Path]) -> None:
    one, two = evaluations(runs, "flip").evaluations
    (both,) = evaluations(runs, "flip", ensemble=True).evaluations
    mean = (one.probabilities + two.probabilities) / 2
    np.testing.assert_allclose(both.probabilities, mean, atol=1e-6)
    assert both.score.weights == "raw, mean of 2 networks"
    assert residua.evaluate(list(runs), views=["flip"], ensemble=True) == [both.score]


def test_classes_in_another_order_are_matched_by_name(
    runs: tuple[Path, Path], photos: Path, tmp_path: Path
) -> None:
    reordered = _reordered(runs[0], tmp_path / "reordered.safetensors", [2, 0, 1])
    (pair,) = compare([runs[0], reordered], data=photos)
    assert (pair.comparison.wins, pair.comparison.losses) == (0, 0)
    np.testing.assert_allclose(pair.first.probabilities, pair.second.probabilities, atol=1e-6)


def _reordered(run: Path, file: Path, order: list[int]) -> Path:
    """The run's network with its outputs, and their names, in another order."""
    state = checkpoint.load_newest(Run(run).checkpoints)
    assert state
    tensors, facts = dict(state.tensors), dict(state.facts)
    for name in ("model.head.linear1.weight", "model.head.linear1.bias"):
        tensors[name] = tensors[name][order].clone()
    publish(file, tensors, facts | {"classes": [facts["classes"][place] for place in order]})
    return file


def test_a_comparison_counts_lists_and_saves_the_images_that_changed(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    (pair,) = compare(list(runs))
    comparison = pair.comparison
    assert comparison.both + comparison.losses + comparison.wins + comparison.neither == comparison.n == 18
    assert comparison.losses > comparison.wins
    assert comparison.difference.value == pytest.approx(pair.second.score.top1 - pair.first.score.top1)
    rows = changes(pair)
    assert sum(row["change"] == "lost" for row in rows) == comparison.losses
    out = tmp_path / "changed.csv"
    assert save_changed(out, [pair]) == len(rows)
    with out.open(newline="") as file:
        read_back = list(csv.DictReader(file))
    assert [row["file"] for row in read_back] == [row["file"] for row in rows]
    lost_row = next(row for row in read_back if row["change"] == "lost")
    assert lost_row["first"] == lost_row["label"] == Path(lost_row["file"]).parent.name != lost_row["second"]


def test_networks_with_other_images_or_classes_are_not_compared(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    other = split_folder(tmp_path / "other", train=12, val=5)
    recipe_file = file_of(
        recipe("", arch=arch(), budget=Budget(epochs=1, batch_size=6)), tmp_path / "recipe.json"
    )
    stranger = residua.train(other, recipe=str(recipe_file), out=tmp_path / "stranger")
    with pytest.raises(ConfigError, match=r"other images.*--data"):
        compare([runs[0], stranger])
    with pytest.raises(ConfigError, match="fewer than two networks"):
        compare([runs[0]])
    renamed = _renamed(runs[0], tmp_path / "renamed.safetensors")
    folder = photo_folder(tmp_path / "some", colours=["red", "green"], count=2)
    with pytest.raises(ConfigError, match="other classes"):
        compare([runs[0], renamed], data=folder)


def _renamed(run: Path, file: Path) -> Path:
    state = checkpoint.load_newest(Run(run).checkpoints)
    assert state
    publish(file, state.tensors, dict(state.facts) | {"classes": ["azure", "green", "red"]})
    return file


def test_averaged_and_best_weights_are_evaluated_where_a_run_has_them(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"no moving average.*--weights raw"):
        residua.evaluate(runs[0], weights="ema")
    with pytest.raises(ConfigError, match=r"'emma'.*ema"):
        residua.evaluate(runs[0], weights="emma")
    good, poor = (checkpoint.load_newest(Run(path).checkpoints) for path in runs)
    assert good
    assert poor
    mean = {
        name.replace("model.", "average."): v for name, v in good.tensors.items() if name.startswith("model.")
    }
    file = tmp_path / "state-000000001.safetensors"
    publish(file, {**poor.tensors, **mean}, poor.facts)
    data = str(Run(runs[0]).recipe.data.source)
    (raw,), (ema,) = (residua.evaluate(file, data=data, weights=kind) for kind in ("raw", "ema"))
    assert ema.top1 == residua.evaluate(runs[0])[0].top1 > raw.top1
    assert (raw.weights, ema.weights) == ("raw", "ema")


def test_best_weights_are_those_in_their_own_file(runs: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(runs[1], tmp_path / "copy")
    state = checkpoint.load_newest(Run(runs[0]).checkpoints)
    assert state
    record = {"step": 1, "weights": "raw", "test_error": 0.0}
    checkpoint.save_best_weights(copy / "checkpoints", checkpoint.load_weights(state.path, "auto")[0], record)
    (best,) = residua.evaluate(copy, weights="best")
    assert best.top1 == residua.evaluate(runs[0])[0].top1 != residua.evaluate(copy)[0].top1
    assert best.weights == "best"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_predictions_are_saved_with_their_labels(
    suffix: str, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    result = evaluations(runs[:1], "center")
    out = tmp_path / f"predictions{suffix}"
    save(out, result.predictions(2))
    rows = _rows(out)
    assert len(rows) == 18
    assert [Path(row["file"]).parent.name for row in rows] == [row["label"] for row in rows]
    right = sum(row["class1"] == row["label"] for row in rows)
    assert 100 * right / 18 == pytest.approx(result.scores[0].top1)


def _rows(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".jsonl":
        plain = [json.loads(line) for line in path.read_text().splitlines()]
        return [{"file": p["file"], "label": p["label"], "class1": p["top"][0]["class"]} for p in plain]
    if path.suffix == ".parquet":
        return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()  # type: ignore[no-any-return]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_pages_of_evaluation_and_comparison_say_what_was_measured(
    look: Eyes, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    named = f"{arch().name} on photos"
    assert f"<title>{named}</title>" in (runs[0] / "report.html").read_text()
    evaluation_page = text = evaluations(runs, "center", "flip").page(
        "residua evaluate X --views center,flip"
    )
    for phrase in (
        f"<title>Evaluation of {named}</title>",
        "n = 18 images",
        "good, flip",
        "residua evaluate X",
        "The least likely labels",
        "nats",
    ):
        assert phrase in text
    pairs = compare(list(runs))
    write_comparison(tmp_path / "compared.html", pairs, command="residua compare X Y")
    text = (tmp_path / "compared.html").read_text()
    for phrase in (
        f"<title>{named}: good and poor compared</title>",
        "exact McNemar",
        "What poor predicts differently",
        "residua compare X Y",
    ):
        assert phrase in text
    assert f"{pairs[0].comparison.losses:,}" in text
    (tmp_path / "judged.html").write_text(evaluation_page)
    look(runs[0] / "report.html", tmp_path / "judged.html", tmp_path / "compared.html")


def test_the_page_of_a_network_without_mistakes_says_so(runs: tuple[Path, Path]) -> None:
    (evaluation,) = evaluations(runs[:1], "center").evaluations
    sure = np.eye(3, dtype=np.float32)[evaluation.split.labels]
    faultless = replace(evaluation.from_probabilities(sure, evaluation.split), network="good")
    assert "all 18 images" in ClassEvaluations((faultless,)).page("x")


@pytest.mark.parametrize("names", few_of([FEW_STUDIES, STUDIES], [FEW_STUDIES]))
def test_an_analysis_writes_a_page_figures_and_numbers(
    look: Eyes, runs: tuple[Path, Path], tmp_path: Path, names: tuple[str, ...]
) -> None:
    heard: list[str] = []
    studies = analyse(list(runs), what=names, out=tmp_path / "out", images=12, listen=heard.append)
    assert [study.name for study in studies] == [*names]
    assert len(heard) == len(names)
    numbers = json.loads((tmp_path / "out/analysis.json").read_text())
    assert set(numbers["lesion"]) == {"good", "poor"}
    assert numbers["lesion"]["good"]["n"] == 12
    assert numbers["activations"]["good"]["stages"] == [1, 1]
    for file in ("responses-1.svg", "lesion-2.svg", "field-1.svg", "analysis.html"):
        assert (tmp_path / "out" / file).stat().st_size > 500
    with pytest.raises(FileExistsError, match="--force"):
        analyse(list(runs), what=names, out=tmp_path / "out")
    look(*(tmp_path / "out").glob("*.svg"), tmp_path / "out/analysis.html")


def test_figures_tell_networks_by_what_differs_in_their_names() -> None:
    names = ["digits-5-epochs-cifar_plain20-seed0", "digits-5-epochs-cifar_resnet20-seed0"]
    assert distinct_parts(names) == ["cifar_plain20", "cifar_resnet20"]
    assert distinct_parts(["a-1-c", "a-1-c"]) == ["a-1-c", "a-1-c"]
    assert distinct_parts(["digits-of-people-wide", "digits-of-people"]) == ["people-wide", "people"]
    assert distinct_parts(["photos-1"]) == ["photos-1"]
    published = ["cifar_plain56.a-martyn", "cifar_resnet56.a-martyn"]
    assert distinct_parts(published) == ["cifar_plain56", "cifar_resnet56"]
    assert distinct_parts(["run-1", "run-2"]) == ["run-1", "run-2"]


def test_what_does_not_fit_is_left_out_unless_it_was_asked_for(tmp_path: Path) -> None:
    heard: list[str] = []
    studies = analyse(["cifar_plain20"], listen=heard.append)
    assert [study.name for study in studies] == ["activations", "field"]  # the others need images
    with pytest.raises(ConfigError, match=r"identity.*--data"):
        analyse(["cifar_resnet20"], what=["identity"])
    with pytest.raises(ConfigError, match="no identity shortcut"):
        analyse(["cifar_plain20"], what=["identity"], data="digits", images=4)
    with pytest.raises(ConfigError, match=r"'lesions'.*lesion"):
        analyse(["cifar_plain20"], what=["lesions"])
    both = analyse(["cifar_plain20", "cifar_resnet20"], what=["identity"], data="digits", images=4)
    (skipped,) = both[0].skipped
    assert re.search("cifar_plain20.*no identity shortcut", skipped)


def test_a_network_by_name_is_fresh_shaped_for_the_data_and_the_same_each_time() -> None:
    before = torch.random.get_rng_state()
    one, two = (
        analyse(["cifar_preresnet110"], what=["responses"], data="digits", images=16)[0] for _ in range(2)
    )
    assert one.numbers == two.numbers
    assert torch.equal(before, torch.random.get_rng_state())
    deviations = one.numbers["cifar_preresnet110"]["deviations"]
    assert deviations[0] == pytest.approx(1, abs=0.05)  # its norms have seen the images
