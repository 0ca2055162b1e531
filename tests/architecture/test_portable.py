"""Systems other than Linux: without its modules and signals everything imports, and a run trains and resumes.

A child process takes away what Windows lacks: the modules `fcntl` and `resource`, and names of `os` and
`signal`. torch is imported before, because it asks the name of the system instead.
"""

import os
from pathlib import Path

import pytest

from command import python, succeeded
from residua.data.ranges import read_range
from residua.spec.recipe import Budget
from small import arch, file_of, recipe, split_folder

WINDOWS = """
import importlib, os, pkgutil, signal, sys, warnings
from pathlib import Path
import torch.distributed.launcher.api
for name in [name for name in sys.modules if name.partition(".")[0] in ("residua", "small", "filelock")]:
    del sys.modules[name]  # imported again below
sys.modules["fcntl"] = sys.modules["resource"] = None
for name in ("O_NOFOLLOW", "register_at_fork", "fork", "setsid", "sched_getaffinity"):
    delattr(os, name)
os.process_cpu_count = os.cpu_count  # of Python 3.13, which defines it so where sched_getaffinity is missing
for name in ("SIGHUP", "SIGKILL", "SIGCONT", "SIGALRM", "SIGCHLD", "alarm", "setitimer", "pthread_sigmask"):
    delattr(signal, name)
warnings.simplefilter("ignore")  # filelock says that it locks by marker files
"""

IMPORT_ALL = """
import residua
for module in pkgutil.walk_packages(residua.__path__, "residua."):
    importlib.import_module(module.name)
for name in residua.__all__:
    getattr(residua, name)
"""

TRAIN = """
from residua.cli.progress import Stopper
from residua.cli.terminal import console
from residua.errors import RunBusyError
from residua.jobs.prepare import prepare
from residua.jobs.train_request import TrainRequest
from residua.jobs.train import create_run, fit_run
from small import after
prepared = prepare(TrainRequest(photos, recipe=recipe))
run = create_run(prepared, Path(out))
fit_run(run, prepared, stop=after(3))
assert not run.finished
Stopper(console())
with run.lock():
    try:
        residua.resume(out)
    except RunBusyError as error:
        assert f"process {os.getpid()} on" in str(error), error
    else:
        raise AssertionError("two processes write")
assert residua.resume(out).finished
print(residua.load(out)(photos + "/val/red/01.png").top(), residua.evaluate(out)[0].top1)
"""


def test_without_pread_ranges_of_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    (tmp_path / "a").write_bytes(b"0123456789")
    assert read_range(str(tmp_path / "a"), 3, 4) == b"3456"


def test_without_the_modules_and_signals_of_posix_everything_imports_trains_and_predicts(
    tmp_path: Path,
) -> None:
    photos = split_folder(tmp_path / "photos")
    run_recipe = recipe("", arch=arch(), budget=Budget(epochs=2, batch_size=6, save_seconds=0.0))
    file = file_of(run_recipe, tmp_path / "recipe.json")
    places = f"photos, recipe, out = {str(photos)!r}, {str(file)!r}, {str(tmp_path / 'run')!r}"
    succeeded(python("-c", WINDOWS + IMPORT_ALL + places + TRAIN))
