"""Archives of torch: the graph alone computes anywhere, machine code says where it may run."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sample_network import CLASSES, sample_network

from residua.errors import CheckpointError, ConfigError
from residua.predict.export import pt2
from residua.predict.export.graph import export_graph

INPUTS = np.random.default_rng(0).normal(size=(5, 3, 12, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pt2") / "tiny.pt2"
    pt2.write_pt2(export_graph(sample_network()), file)
    return file


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_that_the_archive_computes_what_the_network_does_for_any_batch(archive: Path, batch: int) -> None:
    with torch.inference_mode():
        expected = sample_network().eval()(torch.from_numpy(INPUTS[:batch])).numpy()
    np.testing.assert_allclose(pt2.load_pt2(archive)(INPUTS[:batch]), expected, atol=1e-5)


def test_that_the_archive_names_its_classes_and_no_folder_of_the_machine(archive: Path) -> None:
    assert pt2.read_facts(archive).classes == CLASSES
    assert b".py" not in archive.read_bytes()


def test_that_the_archive_holds_no_pickled_object(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        code = [name for name in file.namelist() if name.endswith((".pkl", ".so", ".cpp"))]
    assert not code


def damaged(kind: str, archive: Path, path: Path) -> Path:
    """A file that only looks like an archive."""
    if kind == "text":
        path.write_text("no zip file")
    elif kind == "half":
        path.write_bytes(archive.read_bytes()[:5000])
    else:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/extra/residua" if kind == "bad facts" else "archive/other", "{}")
    return path


@pytest.mark.parametrize("kind", ["text", "half", "bad facts", "no facts"])
def test_that_a_damaged_archive_is_refused_in_a_line(archive: Path, tmp_path: Path, kind: str) -> None:
    path = damaged(kind, archive, tmp_path / "damaged.pt2")
    with pytest.raises(CheckpointError, match="export it again"):
        pt2.read_facts(path)
    with pytest.raises(CheckpointError, match="export it again"):
        pt2.load_pt2(path)


def test_that_machine_code_of_another_processor_is_refused_before_it_runs(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = export_graph(sample_network()).facts.changed(machine=f"{pt2.this_machine()} avx9000")
    path = tmp_path / "compiled.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("compiled/extra/residua", facts.to_text())
    loads: list[Any] = []
    monkeypatch.setattr(torch._inductor, "aoti_load_package", loads.append)
    with pytest.raises(CheckpointError, match="avx9000"):
        pt2.load_compiled(path)
    assert not loads


def test_that_a_missing_compiler_is_a_line(tmp_path: Path) -> None:
    no_compiler = torch._inductor.config.patch("cpp.cxx", ("no-such-compiler",))
    with no_compiler, pytest.raises(ConfigError, match="compiler"):
        pt2.write_compiled(export_graph(sample_network()), tmp_path / "compiled.pt2")


@pytest.mark.battery  # a compiler takes a minute
def test_that_compiled_code_computes_what_the_network_does_and_names_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "compiled.pt2"
    pt2.write_compiled(export_graph(sample_network()), path)
    assert pt2.read_facts(path).machine == pt2.this_machine()
    compute = pt2.load_compiled(path)
    for batch in (1, 2, 5):
        with torch.inference_mode():
            expected = sample_network().eval()(torch.from_numpy(INPUTS[:batch])).numpy()
        np.testing.assert_allclose(compute(INPUTS[:batch]), expected, atol=1e-5)
