"""A recipe of a stranger opens no connection: only `--data`, or `data=` in Python, leads to the network."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import residua
from command import complaint
from command import residua as run_command
from residua.data.listing import build_dataset
from residua.data.open import check_is_local, find
from residua.data.sources import cifar
from residua.errors import ConfigError, DataError
from residua.jobs.analyse import analyse
from residua.jobs.compare import compare
from residua.jobs.evaluate import evaluate
from residua.jobs.train import resume
from residua.runs.run import RECIPE, Run
from residua.spec.record import to_json
from small import file_of, photo_folder, recipe


class Canary:
    """Counts the connections to a port of this machine, and closes each at once."""

    def __init__(self) -> None:
        self.count = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            connection.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    one = Canary()
    yield one
    one.listener.close()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a folder."""
    root = tmp_path_factory.mktemp("trained")
    photos = photo_folder(root / "photos")
    file = file_of(recipe(), root / "recipe.json")
    return residua.train(str(photos), recipe=str(file), out=root / "run").path


@pytest.fixture
def named(trained: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The run, whose recipe names another source."""

    def copy(source: str) -> Path:
        shutil.copytree(trained, path := tmp_path / "stranger")
        there = Run(path).recipe
        text = to_json(replace(there, data=replace(there.data, source=source)))
        (path / RECIPE).write_text(text)
        return path

    return copy


def _addresses(port: int) -> list[str]:
    place = f"127.0.0.1:{port}/x"
    return [f"http://{place}", f"https://{place}/index.json", f"s3://{place}", f"simplecache::http://{place}"]


def test_no_command_follows_the_address_in_a_recipe(
    named: Callable[[str], Path], canary: Canary, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{canary.port}/photos"
    run = named(address)
    jobs: dict[str, Callable[[], object]] = {
        "evaluate": lambda: evaluate(run),
        "compare": lambda: compare([run, run]),
        "analyse": lambda: analyse([run], out=tmp_path / "study"),
        "resume": lambda: resume(run),
    }
    for name, job in jobs.items():
        (run / "report.html").unlink(missing_ok=True)  # so that resuming a finished run reads its data, too
        with pytest.raises(ConfigError, match=f"--data {address}"):
            print(name, job())
    assert canary.count == 0
    picture = next(photo_folder(tmp_path / "photos").rglob("*.png"))
    residua.load(run)(picture)
    assert canary.count == 0
    with pytest.raises(DataError):
        evaluate(run, data=address)  # the user asked
    assert canary.count > 0


def test_the_command_says_it_in_one_line(named: Callable[[str], Path], canary: Canary) -> None:
    run = named(f"http://127.0.0.1:{canary.port}/photos")
    assert "--data http" in complaint(run_command("evaluate", run), 2)
    assert canary.count == 0


def test_a_given_recipe_lends_its_settings_but_not_its_source(canary: Canary, tmp_path: Path) -> None:
    photos = photo_folder(tmp_path / "photos")
    stranger = recipe(f"http://127.0.0.1:{canary.port}/x")
    run = residua.train(
        str(photos), recipe=str(file_of(stranger, tmp_path / "recipe.json")), out=tmp_path / "run"
    )
    assert run.recipe.data.source == str(photos)
    assert canary.count == 0


@pytest.mark.parametrize("prefix", ["", "hf:", "video:", "voc:", "coco:", "imagenet:", "moving:", "cifar10:"])
def test_no_kind_of_source_smuggles_an_address(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (*_addresses(9), r"\\server\share", "//server/share", "git+ssh://server/x"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)  # a folder called `http:` changes nothing
        with pytest.raises(ConfigError, match="network"):
            check_is_local(prefix + place, named_by="recipe.json")


def test_downloads_and_hubs_are_asked_only_where_nothing_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar, "OLD_CACHE", tmp_path)
    for source in ("cifar10", "cifar100", "hf:someone/photos"):
        with pytest.raises(ConfigError, match=f"--data {source}"):
            check_is_local(source, named_by="recipe.json")
    for source in ("digits", "moving", f"hf:{tmp_path}", f"cifar10:{tmp_path}", f"{tmp_path}", "voc:cells"):
        check_is_local(source, named_by="recipe.json")
    for name, folder in (("cifar10", tmp_path / "cache" / "residua"), ("cifar100", tmp_path)):
        form = cifar._FORMS[name][0]  # the second where residua 0.0 stored it
        (folder / form.folder).mkdir(parents=True)
        for file in form.files:
            (folder / form.folder / file).touch()
        check_is_local(name, named_by="recipe.json")


def test_a_stopped_run_goes_on_over_the_network_once_its_user_names_the_address(
    trained: Path, tmp_path: Path
) -> None:
    """With a store in memory, which stands for every server."""
    fsspec = pytest.importorskip("fsspec")
    from residua.data.sources.shards import write_shards

    photos = photo_folder(tmp_path / "photos")
    write_shards(find(str(photos)), tmp_path / "packed")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "packed"), "/bucket/shards", recursive=True)
    try:
        address = "memory://bucket/shards"
        run = residua.train(address, recipe=str(file_of(recipe(), tmp_path / "r.json")), out=tmp_path / "run")
        assert run.recipe.data.source == address
        (run.path / "report.html").unlink()
        with pytest.raises(ConfigError, match=f"--data {address}"):
            resume(run.path)
        resume(run.path, data=address)
        assert (run.path / "report.html").exists()
        with pytest.raises(ConfigError, match=f"--data {address}"):
            evaluate(run)
        assert evaluate(run, data=address)[0].n == len(build_dataset(find(address), val_fraction=0.2).test)
    finally:
        memory.rm("/bucket", recursive=True)
