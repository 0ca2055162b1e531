"""For every test: one thread, so that workers do not fight for cores, and the same bits everywhere."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, here and in every process a test starts

import gc
from collections.abc import Generator, Iterator

import pytest

from eyes import Eyes


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    """torch's engine starts before the first test, while no device but the CPU is known.

    Once a test has shown torch a pretended one, as tracing does, it would start a thread for that, and
    processes forked later could not learn.
    """
    import torch  # not above: the process that only deals out tests would wait seconds for it

    torch.ones((), requires_grad=True).backward()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session", autouse=True)
def _empty_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Plans measured on this machine before decide nothing in a test, and tests leave none behind."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test downloads from the world, nor uses what other libraries downloaded before.

    Tests that play a server take the fixture `online`.
    """
    os.environ["RESIDUA_OFFLINE"] = "1"
    for name in ("TORCH_HOME", "HF_HOME"):
        os.environ[name] = str(tmp_path_factory.mktemp(name.lower()))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "RESIDUA_WEIGHTS_MIRROR"):
        os.environ.pop(name, None)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads are allowed in this test, and no proxy of this machine is between it and its server."""
    for name in ("RESIDUA_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for scheme in ("http", "https", "all"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


@pytest.fixture(autouse=True)
def _threads_of_one_test() -> None:
    import torch

    torch.set_num_threads(1)  # a plan may have asked for another number


@pytest.fixture
def light_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """On meta tensors batch norms only compare widths: torch is slow at them in Python."""
    import torch

    def compared(x: "torch.Tensor", *args: "torch.Tensor") -> "torch.Tensor":
        assert x.is_meta
        assert {value.shape for value in args[:4]} == {x.shape[1:2]}  # mean, variance, weight, bias
        return x

    monkeypatch.setattr(torch.nn.functional, "batch_norm", compared)


@pytest.fixture(scope="session")
def look() -> Iterator[Eyes]:
    """Looks at pages in a browser, last in a test: without a browser the test is skipped there."""
    eyes = Eyes()
    yield eyes
    eyes.close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector look only at what tests make: a million objects are there before."""
    gc.disable()
    outcome = yield
    gc.freeze()
    gc.enable()
    return outcome


def pytest_unconfigure() -> None:
    gc.unfreeze()  # what is never collected, extension modules report as leaked


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that may take minutes come first, so that no worker ends with one while the others idle."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)
