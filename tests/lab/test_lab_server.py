"""The lab as a process: who may read and act, what runs it lists, and what becomes of its jobs."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab_runs import metrics_row, write_run

from command import complaint, residua
from residua.lab.broadcast import Broadcast
from residua.lab.run_folder import RunFolder
from residua.lab.run_table import RunTable
from residua.lab.series_store import SeriesStore
from residua.runs.run import Run
from server_process import Server, serving


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `condition` returns once it is true."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.05)
    return value


def rows(client: httpx.Client) -> dict[str, Any]:
    """Runs by name, once all metrics are read."""
    document = client.get("/api/runs").json()
    is_read = document["scanned"] and not document["unread"]
    return {row["name"]: row for row in document["rows"]} if is_read else {}


@pytest.fixture
def client(lab: Server) -> Iterator[httpx.Client]:
    with lab.client() as client:
        yield client


def page_token(client: httpx.Client) -> dict[str, str]:
    """The header of actions, from the page."""
    text = client.get("/").text
    return {"X-Residua-Token": text.partition('name="token" content="')[2].partition('"')[0]}


def test_the_lab_starts_without_torch() -> None:
    code = "import sys, residua.lab.app; print('torch' in sys.modules)"
    words = [sys.executable, "-c", code]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False", "it would take half a gigabyte and two seconds"


def test_runs_have_state_score_and_interval(client: httpx.Client) -> None:
    table = wait_for(lambda: rows(client))
    assert table.keys() == {"colours", "again-1", "again-2", "group/stopped", "<img src=x onerror=alert(1)>"}
    best = table["again-2"]["best"]
    assert (best["value"], best["step"]) == (10.0, 12)
    assert best["low"] < 10 < best["high"], "200 test images"
    assert table["again-1"]["group"] == table["again-2"]["group"], "they differ by seed alone"
    assert [table[name]["state"] for name in ("colours", "group/stopped")] == ["finished", "stopped"]
    assert table["again-1"]["spark"] == [60.0, 30.0, 12.0]


def test_runs_appear_grow_break_and_disappear(client: httpx.Client, runs: Path) -> None:
    wait_for(lambda: rows(client))
    write_run(runs / "new", errors=[9.0, 8.0], finished=False)
    wait_for(
        lambda: (row := rows(client).get("new")) and row["num_rows"] == 2
    )  # it is read after it is listed
    with (runs / "new" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "step": 12, "test_error": 7.0}\n{"epoch": 4, "st')
    assert (
        wait_for(lambda: (row := rows(client).get("new")) and row["num_rows"] == 3 and row)["latest"] == 7.0
    )
    (runs / "new" / "recipe.json").write_text("{")
    assert wait_for(lambda: (row := rows(client).get("new")) and row["state"] == "damaged")
    shutil.rmtree(runs / "new")
    assert wait_for(lambda: (table := rows(client)) and "new" not in table)


def test_a_row_that_changes_while_its_metrics_are_read_is_read_again(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "run", errors=[], finished=False)

    class SlowStore(SeriesStore):
        """Metrics appear while they are read."""

        def columns(self, runs: Any, names: Any, *, keep: bool = True) -> Any:
            columns = super().columns(runs, names, keep=keep)
            if not Run(run).metrics:
                Run(run).append_metrics(metrics_row(1, 5.0))
                table.scan()
            return columns

    table = RunTable(RunFolder(tmp_path / "runs"), SlowStore(), lambda name, value: None)
    table.start()
    row = wait_for(lambda: (row := table.row("run")) and row.best and row, 10)
    table.close()
    assert row.best.value == 5


def test_a_run_counts_as_unread_until_it_is_read_also_where_it_is_damaged(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "whole", errors=[5.0])
    (write_run(tmp_path / "runs" / "damaged", errors=[5.0]) / "recipe.json").write_text("{")
    in_reading, published = [], []

    class WatchedStore(SeriesStore):
        """Notes how many runs are unread while one is read."""

        def columns(self, runs: Any, names: Any, *, keep: bool = True) -> Any:
            in_reading.append(table.num_unread)
            return super().columns(runs, names, keep=keep)

    table = RunTable(
        RunFolder(tmp_path / "runs"), WatchedStore(), lambda name, value: published.append(value)
    )
    table.start()
    wait_for(lambda: published and not published[-1]["unread"] and in_reading, 10)
    table.close()
    assert min(in_reading) >= 1


def test_a_run_that_is_being_written_does_not_wait_for_a_scan_of_all(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "run", errors=[], finished=False)

    class SlowFolder(RunFolder):
        """Takes half a second to list, so that it is listed every five seconds."""

        listed = 0

        def names(self) -> list[str]:
            self.listed += 1
            time.sleep(0.5)
            return super().names()

    folder = SlowFolder(tmp_path / "runs")
    table = RunTable(folder, SeriesStore(), lambda name, value: None)
    table.start()
    wait_for(lambda: table.is_scanned, 10)
    for epoch, error in ((1, 5.0), (2, 4.0)):  # the first is found by a scan of all
        scans = folder.listed
        Run(run).append_metrics(metrics_row(epoch, error))
        wait_for(lambda error=error: (row := table.row("run")) and row.best and row.best.value == error, 10)
    assert folder.listed == scans
    table.close()


def test_the_page_is_sent_compressed_where_the_browser_takes_gzip(client: httpx.Client) -> None:
    plain = client.get("/assets/lab.css", headers={"Accept-Encoding": "gzip;q=0, br"})
    packed = client.get("/assets/lab.css", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    for again in ("identity", "gzip"):
        headers = {"If-None-Match": packed.headers["etag"], "Accept-Encoding": again}
        assert client.get("/assets/lab.css", headers=headers).status_code == 304


def test_no_name_leads_out_of_the_folder(client: httpx.Client, runs: Path, tmp_path: Path) -> None:
    outside = write_run(tmp_path / "outside", errors=[1.0])
    (runs / "link").symlink_to(outside)
    (runs / "folder").mkdir()
    (runs / "folder" / "link").symlink_to(outside)
    inner = write_run(runs / "inner", errors=[2.0])
    (inner / "metrics.jsonl").unlink()
    (inner / "metrics.jsonl").symlink_to(outside / "metrics.jsonl")
    for name in ("../outside", "link", "folder/link", str(outside), "again-1/../../outside", ".", "", "a\0b"):
        response = client.get("/api/curves", params={"run": name, "metric": "test_error"})
        assert response.status_code == 404, name
    assert client.get("/api/curves/metrics", params={"run": "inner"}).json() == []
    table = wait_for(lambda: (table := rows(client)) and "inner" in table and table)
    assert not {"link", "folder/link"} & table.keys()
    assert table["inner"]["best"] is None


def test_other_sites_and_other_names_are_refused(client: httpx.Client) -> None:
    assert client.get("/api/runs", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/api/runs", headers={"Origin": "https://evil.example"}).status_code == 403
    page = client.get("/")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_actions_need_the_token(client: httpx.Client) -> None:
    body = {"tags": ["a"], "note": "b"}
    for headers in ({}, {"X-Residua-Token": "x"}, {"Cookie": "residua_lab=x"}):
        response = client.post("/api/runs/notes", params={"run": "colours"}, json=body, headers=headers)
        assert response.status_code == 403
    headers = page_token(client)
    assert (
        client.post("/api/runs/notes", params={"run": "colours"}, json=body, headers=headers).status_code
        == 200
    )
    assert client.get("/api/runs").json()["notes"] == {"colours": body}


def test_notes_are_beside_the_runs_and_a_damaged_file_is_kept(client: httpx.Client, runs: Path) -> None:
    before = {path: path.read_bytes() for path in (runs / "colours").rglob("*") if path.is_file()}
    headers, body = page_token(client), {"tags": ["a"], "note": "<b>"}
    client.post("/api/runs/notes", params={"run": "colours"}, json=body, headers=headers)
    assert json.loads((runs / "lab-notes.json").read_text()) == {"colours": body}
    (runs / "lab-notes.json").write_text("{")
    response = client.post("/api/runs/notes", params={"run": "colours"}, json=body, headers=headers)
    assert response.status_code == 400
    assert "damaged" in response.json()["error"]
    assert (runs / "lab-notes.json").read_text() == "{"
    assert before == {path: path.read_bytes() for path in (runs / "colours").rglob("*") if path.is_file()}


def test_a_read_only_lab_refuses_every_action(runs: Path) -> None:
    with serving(runs, "--read-only", command="lab") as server, server.client() as client:
        assert page_token(client) == {"X-Residua-Token": ""}
        for path in ("/api/jobs", "/api/runs/stop?run=colours", "/api/runs/notes?run=colours"):
            assert client.post(path, json={}).status_code == 403
        assert not (runs / "lab-notes.json").exists()


def test_beyond_this_machine_readers_need_the_printed_address(runs: Path) -> None:
    with serving(runs, "--host", "0.0.0.0", command="lab") as server:
        assert server.token
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            assert client.get("/").status_code == client.get("/api/runs").status_code == 401
            assert client.get("/?token=wrong").status_code == 401
            assert client.get(f"/?token={server.token}").status_code == 303
            assert client.get("/api/runs").status_code == 200, "the cookie is enough"
            assert client.post("/api/jobs", json={}).status_code == 403, "but not for actions"


@pytest.mark.battery  # it trains
def test_a_job_is_a_command_that_can_be_stopped(runs: Path) -> None:
    lab = Server(runs, command="lab")
    client = lab.client()
    headers = page_token(client)
    options = {"text": "cifar_resnet20", "epochs": 500}
    response = client.post("/api/jobs", json={"kind": "train_digits", "options": options}, headers=headers)
    job = response.json()
    assert response.status_code == 200, job
    name = job["run"]
    row = wait_for(
        lambda: (row := rows(client).get(name)) and row["state"] == "running" and row["num_rows"] and row
    )
    assert row["network"] == "cifar_resnet20"
    assert client.post("/api/runs/stop", params={"run": name}, headers=headers).status_code == 200

    def ended() -> Any:
        facts = client.get(f"/api/jobs/{job['id']}").json()
        return facts["exit_code"] is not None and (facts["state"], facts["exit_code"])

    assert wait_for(ended) == ("stopped", 75)
    assert wait_for(lambda: rows(client)[name]["state"] == "stopped")
    resumed = client.post(
        "/api/jobs", json={"kind": "resume", "options": {"run": name}}, headers=headers
    ).json()
    wait_for(lambda: rows(client)[name]["state"] == "running")
    assert lab.stop() == 0, "it lets the job save"
    assert not (runs / name / "finished.json").exists()
    assert resumed["run"] == name


def test_jobs_take_no_path_and_no_option_from_the_page(client: httpx.Client, tmp_path: Path) -> None:
    headers = page_token(client)
    (tmp_path / "net.json").write_text("{}")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("train_digits", {"text": str(tmp_path / "net.json")}),
        ("train_digits", {"text": "--help"}),
        ("train_digits", {"text": "cifar_resnet20", "epochs": -1}),
        ("train_digits", {}),
        ("resume", {"run": "../outside"}),
        ("repeat", {"run": "colours", "seed": "1"}),
        ("rm", {}),
    ]
    for kind, options in wrong:
        response = client.post("/api/jobs", json={"kind": kind, "options": options}, headers=headers)
        assert response.status_code in (400, 404), (kind, options)
    assert client.get("/api/jobs").json() == []


def test_a_signal_goes_to_no_process_that_only_the_lock_file_names(client: httpx.Client, runs: Path) -> None:
    headers = page_token(client)
    (runs / "colours" / ".lock").write_text(f" process {os.getpid()} on {os.uname().nodename} since now")
    assert wait_for(lambda: rows(client))["colours"]["state"] == "finished"
    assert client.post("/api/runs/stop", params={"run": "colours"}, headers=headers).status_code == 409


def test_runs_are_written_as_one_file_from_the_command_line(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "runs.html"
    assert residua("lab", "--export", file, runs).returncode == 0
    text = file.read_text("utf-8")
    assert {"again-1", "group/stopped"} <= set(
        re.findall(r"again-1|group/stopped", text.replace("<wbr>", ""))
    )
    assert "<img src=x" not in text
    assert "<script" not in text
    complaint(residua("lab", "--export", file, runs), 2)
    assert residua("lab", "--export", file, runs / "colours", "--force").returncode == 0
    assert "3 epochs" in file.read_text("utf-8")
    complaint(residua("lab", "--export", tmp_path / "none.html", tmp_path / "cache"), 2)
    complaint(residua("lab", runs, runs), 2)


def test_streams_can_be_ended_after_the_server_has_stopped() -> None:
    broadcast = Broadcast()

    async def begin() -> str:
        return await anext(broadcast.stream())

    assert asyncio.run(begin()).startswith("retry")
    broadcast.close()
