"""A process that is killed leaves no worker behind that waits for ever."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

PLAIN = """
context = multiprocessing.get_context("spawn")
ProcessPoolExecutor(2, context, exit_with_parent).submit(os.getpid).result()
"""
METRICS = """
Path("run").mkdir()
Path("run/metrics.jsonl").write_text('{"step": 1, "test_error": 2.0}\\n' * 20_000)
SeriesStore().names(Path("run"))
"""
SCRIPT = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from residua.child_process import exit_with_parent
from residua.lab.series_store import SeriesStore

if __name__ == "__main__":
    {begin}
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("begin", [PLAIN, METRICS], ids=["pool", "metrics of the lab"])
def test_workers_end_with_a_parent_that_is_killed(
    begin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    script = tmp_path / "parent.py"
    script.write_text(SCRIPT.format(begin=begin.strip().replace("\n", "\n    ")))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    workers = [int(number) for number in done.stdout.split()]
    assert workers, done.stderr
    _, alive = psutil.wait_procs([psutil.Process(each) for each in workers if psutil.pid_exists(each)], 10)
    assert alive == []
