"""Mistakes that need no data to be seen are refused before any are opened."""

from pathlib import Path
from typing import Any

import pytest

from residua.errors import CheckpointError, ConfigError
from residua.jobs import analyse, prepare
from residua.jobs.dry_run import plan_run
from residua.jobs.prepare import resolve
from residua.jobs.train import start_or_join
from residua.jobs.train_request import TrainRequest
from residua.reproduce import reproduction


@pytest.fixture(autouse=True)
def _closed_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("the data were opened")

    monkeypatch.setattr(prepare, "open_readable", opened)
    monkeypatch.setattr(analyse, "open_dataset", opened)
    monkeypatch.setattr(reproduction, "open_dataset", opened)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"model": "cifar_resnet20:shortcut=Q"}, "'Q'"),
        ({"model": "resnet18:order=z"}, "'z'"),
        ({"model": "resnte18"}, "resnet18"),
        ({"model": "cifar_plain20", "model_changes": {"order": "e"}}, "cifar_plain20"),
        ({"model": "ssd300_resnet18"}, "detector"),
        ({"model_changes": {"order": "z"}}, "'z'"),
        ({"model_changes": {"shortcut": "Q"}}, "'Q'"),
        ({"recipe": "he2015.cifr"}, r"he2015\.cifar"),
        ({"model": "resnet18", "weights": "torchvison.v1"}, "torchvision"),
        ({"model": "nowhere.json"}, r"nowhere\.json"),
        ({"changes": (("optim.lr", "fast"),)}, r"optim\.lr is 'fast'"),
        ({"changes": (("seed", "99999999999"),)}, "seed is 99999999999"),
        ({"changes": (("schedule.shape", "cosin"),)}, "cosine"),
        ({"changes": (("plan.device", "abacus"),)}, "'abacus'"),
    ],
    ids=str,
)
def test_training_refuses_a_wrong_word_first(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(TrainRequest("digits", **words))


def test_training_refuses_a_missing_file_of_weights_first() -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth"):
        resolve(TrainRequest("digits", weights="none.pth"))


def test_what_may_be_right_is_opened() -> None:
    lookahead = (("average.lookahead", "true"),)  # right with the averaged weights of some recipe
    for words in (
        {"model": "resnet18:order=e"},
        {"model_changes": {"frames": 8}},
        {"weights": "auto"},
        {"changes": lookahead},
    ):
        with pytest.raises(AssertionError, match="opened"):
            resolve(TrainRequest("digits", **words))  # type: ignore[arg-type]


def test_studies_and_reproductions_refuse_a_wrong_network_first(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'z'"):
        analyse.analyse(["resnet18", "resnet18:order=z"], data="digits")
    with pytest.raises(ConfigError, match="'z'"):
        reproduction.reproduce("he2015/fig6", out=tmp_path, networks=["resnet18:order=z"])


def test_a_run_among_the_classes_of_its_data_is_refused_first(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    request = TrainRequest(str(tmp_path / "photos"))
    for begin in (start_or_join, plan_run):
        with pytest.raises(ConfigError, match="would become a class"):
            begin(request, tmp_path / "photos" / "run")
        with pytest.raises(AssertionError, match="opened"):
            begin(request, tmp_path / "run")
