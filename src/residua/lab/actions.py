"""Routes that act: jobs are started and stopped, runs are stopped, notes are written.

Each is one POST with the token; `access.py` refuses it without, and in a read-only lab.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from residua.errors import ConfigError, ResiduaError
from residua.lab.job_kinds import KINDS
from residua.lab.lock_holders import LockHolders
from residua.lab.state import TheLab, TheRun
from residua.serve.problems import Refusal

router = APIRouter(prefix="/api")
Value = TypeVar("Value")
JOB_PAGE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:"
)
"""Of the page of a job: a report of residua, shown in a frame without the rights of this page."""


@router.post("/jobs")
async def start_job(
    lab: TheLab, kind: Annotated[str, Body()], options: Annotated[dict[str, Any], Body()]
) -> JSONResponse:
    """Start a job of a kind in `job_kinds.KINDS`."""
    if kind not in KINDS:
        raise Refusal(
            400, f"there is no such kind of job: give one of {', '.join(KINDS)}", reason="bad request"
        )

    def start() -> dict[str, Any]:
        plan = KINDS[kind](lab, options)
        files = {plan.file[0]: plan.file[1]} if plan.file else {}
        return lab.jobs.start(kind, plan.title, plan.words, run=plan.run, page=plan.page, files=files).facts()

    return JSONResponse(await in_thread(start))


@router.get("/jobs")
async def list_jobs(lab: TheLab) -> JSONResponse:
    """All jobs, the latest first."""
    return JSONResponse([job.facts() for job in lab.jobs.all()])


@router.get("/jobs/{name}")
async def show_job(lab: TheLab, name: str) -> JSONResponse:
    """A job with its lines."""
    return JSONResponse(await in_thread(lambda: lab.jobs.job(name).facts()))


@router.get("/jobs/{name}/page")
async def show_job_page(lab: TheLab, name: str) -> FileResponse:
    """The page that a job wrote."""
    job = await in_thread(lambda: lab.jobs.job(name))
    path = job.folder / job.page
    if not job.page or job.state != "done" or not path.is_file():
        raise Refusal(404, "this job has no page", reason="not found")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": JOB_PAGE_POLICY})


@router.post("/jobs/{name}/stop")
async def stop_job(lab: TheLab, name: str) -> JSONResponse:
    """Stop a job: it saves what it can."""
    return JSONResponse(await in_thread(lambda: lab.jobs.cancel(name).facts()))


@router.post("/runs/stop")
async def stop_run(lab: TheLab, path: TheRun) -> JSONResponse:
    """Send the signal to save and stop to the process that writes a run, whoever started it."""
    holders = LockHolders()
    process = holders.process_of(path / ".lock")
    if not process:
        raise Refusal(409, "no process on this machine writes this run", reason="state")
    if not holders.is_certain:
        text = "this system does not say which process writes the run: press Ctrl-C where it was started"
        raise Refusal(409, text, reason="state")
    with suppress(ProcessLookupError):
        try:
            os.kill(process, signal.SIGTERM)
        except PermissionError:
            raise Refusal(409, "the process belongs to another user", reason="state") from None
    return JSONResponse({"process": process})


@router.post("/runs/notes")
async def write_notes(
    lab: TheLab, run: TheRun, tags: Annotated[list[str], Body()], note: Annotated[str, Body()]
) -> JSONResponse:
    """Replace tags and note of a run."""
    name = run.relative_to(lab.folder.path).as_posix()
    await in_thread(lambda: lab.notes.change(name, tags, note))
    lab.broadcast.publish("notes", {"run": name})
    return JSONResponse({"tags": tags, "note": note})


async def in_thread(function: Callable[[], Value]) -> Value:
    """Call a function in a thread.

    Raises:
        Refusal: It raised an error for users, or one of the disk.
    """
    try:
        return await run_in_threadpool(function)
    except ConfigError as error:
        raise Refusal(404, str(error), reason="not found") from None
    except ResiduaError as error:
        raise Refusal(400, str(error), reason="bad request") from None
    except OSError as error:
        raise Refusal(500, f"the disk refused: {error.strerror}", reason="disk") from None
