"""The engine is chosen by measuring, once for each machine; one that disagrees is struck out."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from residua.errors import ConfigError
from residua.events import Note
from residua.nn.network import build
from residua.predict.engines import choose, exported_models
from residua.predict.engines.agreement import compare_logits
from residua.predict.engines.candidates import CANDIDATES, EAGER, Candidate
from residua.predict.engines.choose import choose_engine, measure_engines, named_engine, same_engine
from small import PIXELS
from small import arch as small_arch

ROWS = {row.name: row for row in CANDIDATES}
VIEWS = np.random.default_rng(1).integers(0, 256, (5, 3, PIXELS.size, PIXELS.size), np.uint8)


@dataclass
class Changed:
    """An engine that changes the logits of another, and may take time."""

    name: str
    inner: object
    add: float = 0.0
    pause: float = 0.0

    def logits(self, views):
        time.sleep(self.pause)
        return self.inner.logits(views) + np.float32(self.add)


def changed(name, **fields):
    return Candidate(name, "float32", lambda work: Changed(name, ROWS[EAGER].make(work), **fields))


SLOW = Candidate(
    EAGER, "float32", lambda work: Changed(EAGER, ROWS["torch-contiguous"].make(work), pause=0.01)
)


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    return build(small_arch()).eval()


@pytest.fixture
def slow_eager(monkeypatch):
    monkeypatch.setattr(choose, "CANDIDATES", (SLOW, *CANDIDATES[1:]))
    return SLOW


def failing(name, error):
    def make(_):
        raise error

    return Candidate(name, "float32", make)


def test_the_fastest_engine_is_chosen_and_remembered(network, slow_eager):
    rows = (slow_eager, changed("quick"), changed("slower", pause=0.02))
    first = measure_engines(network, VIEWS, batch_size=2, seconds=5, candidates=rows)
    assert first.engine.name == first.table.fastest == "quick"
    assert not first.table.is_earlier
    assert [row.name for row in first.table.rows] == [EAGER, "quick", "slower"]
    assert all(row.images_per_second > 0 for row in first.table.rows)
    again = measure_engines(network, VIEWS, batch_size=2, seconds=5, candidates=rows)
    assert again.table.is_earlier
    assert again.engine.name == "quick"
    assert again.table.rows == first.table.rows


def test_other_weights_batches_and_threads_are_measured_anew(network, slow_eager):
    rows = (slow_eager, changed("quick"))

    def is_known(of, batch_size=2):
        return measure_engines(of, VIEWS, batch_size=batch_size, seconds=5, candidates=rows).table.is_earlier

    assert not is_known(network)
    assert is_known(network)
    assert not is_known(network, batch_size=3)
    assert not is_known(build(small_arch()).eval())
    torch.set_num_threads(2)
    assert not is_known(network)


def test_an_engine_that_disagrees_is_struck_out_whatever_its_speed(network, slow_eager):
    rows = (slow_eager, changed("wrong", add=1.0))
    chosen = measure_engines(network, VIEWS, batch_size=2, seconds=5, candidates=rows)
    assert chosen.engine.name == EAGER
    wrong = chosen.table.rows[1]
    assert wrong.reason
    assert not wrong.images_per_second


def test_an_engine_that_no_longer_agrees_is_measured_anew(network, slow_eager):
    measure_engines(network, VIEWS, batch_size=2, seconds=5, candidates=(slow_eager, changed("quick")))
    rows = (slow_eager, changed("quick", add=1.0))
    chosen = measure_engines(network, VIEWS, batch_size=2, seconds=5, candidates=rows)
    assert not chosen.table.is_earlier
    assert chosen.engine.name == EAGER


@pytest.mark.parametrize(("pause", "name"), [(0.058, "quick"), (0.045, "quicker")])
def test_without_time_for_turns_a_later_engine_must_be_clearly_faster(network, monkeypatch, pause, name):
    slow = Candidate(EAGER, "float32", lambda work: Changed(EAGER, ROWS[EAGER].make(work), pause=0.12))
    rows = (slow, changed("quick", pause=0.06), changed("quicker", pause=pause))
    monkeypatch.setattr(choose, "CANDIDATES", rows)
    monkeypatch.setattr(choose.timing, "MIN_TURNS", 10_000)
    monkeypatch.setattr(choose, "MAX_RATIO", 100.0)  # one busy moment must not leave a single rival
    for _ in range(2):
        chosen = measure_engines(network, VIEWS, batch_size=2, seconds=5, candidates=rows)
        assert chosen.engine.name == name
        assert not chosen.table.is_earlier
        assert chosen.table.is_unsure
        assert "too briefly" in chosen.table.lines()[0]


def test_what_cannot_be_built_is_a_line_with_its_reason(network):
    rows = (
        ROWS[EAGER],
        failing("onnxruntime", ConfigError("not installed: pip install 'residua[onnx]'")),
        failing("inductor", RuntimeError("no C++\n compiler")),
    )
    lines = []
    engine = measure_engines(
        network, VIEWS, batch_size=2, seconds=2, candidates=rows, listen=lines.append
    ).engine
    assert engine.name == EAGER
    text = "\n".join(event.text for event in lines if isinstance(event, Note))
    assert "residua[onnx]" in text
    assert "no C++ compiler" in text


def test_short_work_is_not_measured(network, slow_eager):
    rows = (slow_eager, changed("quick"))
    chosen = measure_engines(network, VIEWS, batch_size=2, seconds=20, images=5, candidates=rows)
    assert chosen.table.is_short
    assert chosen.engine.name == EAGER


def test_what_takes_longer_than_the_budget_is_not_tried(network):
    long = Candidate("long", "float32", ROWS[EAGER].make, seconds=(100.0, 0.0))
    chosen = measure_engines(network, VIEWS, batch_size=2, seconds=1, candidates=(ROWS[EAGER], long))
    assert chosen.table.rows[1].reason


def test_real_runtimes_agree_and_keep_their_model_for_later_processes(network, monkeypatch):
    reference = named_engine(network, EAGER, batch_size=4).logits(VIEWS)
    for name in ("onnxruntime", "openvino", "onnxruntime"):
        engine = named_engine(network, name, batch_size=4)
        assert engine.name == name
        assert compare_logits(engine.logits(VIEWS), reference, "float32").is_good
        monkeypatch.setattr(exported_models, "onnx_bytes", None)  # nothing is exported again


def test_a_kept_model_that_is_damaged_is_exported_again(network, monkeypatch, tmp_path):
    monkeypatch.setattr(exported_models, "onnx_bytes", lambda _: b"a model")
    assert exported_models.onnx_model(network) == b"a model"
    (file,) = (tmp_path / "cache" / "residua" / exported_models.FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(exported_models, "onnx_bytes", lambda _: b"another")
    assert exported_models.onnx_model(network) == b"another"
    assert exported_models.onnx_model(network) == b"another"


def test_only_the_newest_models_are_kept(network, monkeypatch, tmp_path):
    monkeypatch.setattr(exported_models, "onnx_bytes", lambda _: b"a model")
    monkeypatch.setattr(exported_models, "MAX_FILES", 2)
    for _ in range(4):
        exported_models.onnx_model(build(small_arch()))
    assert len([*(tmp_path / "cache" / "residua" / exported_models.FOLDER).iterdir()]) == 2


def test_without_views_noise_is_compared(network, slow_eager):
    engine = choose_engine(network, VIEWS[:0], batch_size=2, seconds=1, images=1)
    assert engine.name == EAGER


def test_an_unknown_engine_is_refused_with_the_names_that_apply(network):
    with pytest.raises(ConfigError, match="onnxruntime"):
        named_engine(network, "tensorrt", batch_size=2)


def test_the_same_engine_is_taken_without_measuring(network, monkeypatch, tmp_path):
    rows = (ROWS[EAGER], changed("agrees"), changed("differs", add=3.0), failing("fails", RuntimeError("no")))
    monkeypatch.setattr(choose, "CANDIDATES", rows)
    monkeypatch.setattr(choose.timing, "seconds_of", None)
    notes = []
    names = [
        same_engine(network, name, batch_size=2, listen=notes.append).name
        for name in ("agrees", EAGER, "differs", "fails", "unknown")
    ]
    assert names == ["agrees", EAGER, EAGER, EAGER, EAGER]
    lines = [note.text for note in notes if isinstance(note, Note)]
    assert [line.split()[2] for line in lines] == ["differs", "fails", "unknown"]
    assert not (tmp_path / "cache").exists()
