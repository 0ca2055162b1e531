"""The application of the lab: one router for each view, behind the guard of the server."""

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from residua.lab import (
    actions,
    compare_view,
    curves_view,
    data_view,
    inside_view,
    papers_view,
    predict_view,
    runs_view,
    words_view,
)
from residua.lab.access import Access, new_token
from residua.lab.broadcast import Broadcast
from residua.lab.compute_process import ComputeProcess
from residua.lab.folder_contents import FolderContents
from residua.lab.jobs import Jobs
from residua.lab.latest_curves import LatestCurves
from residua.lab.notes import Notes
from residua.lab.run_folder import RunFolder
from residua.lab.run_table import RunTable
from residua.lab.series_store import SeriesStore
from residua.lab.state import Lab
from residua.serve.app import NO_TELEMETRY
from residua.serve.bodies import Bodies
from residua.serve.guard import Guard, error_response
from residua.serve.limits import STANDARD, Limits
from residua.serve.pages import INDEX, page_file, page_files, page_response

PAGE = Path(__file__).parent / "page"
"""The files of the page."""
SHARED = ("base.css", "icon.svg")
"""Files of the page of the server that the lab's page has, too."""
ROUTERS = (
    runs_view.router,
    curves_view.router,
    compare_view.router,
    inside_view.router,
    papers_view.router,
    predict_view.router,
    data_view.router,
    words_view.router,
    actions.router,
)
"""One for each view, and one for actions."""


def lab_app(
    folder: Path, *, limits: Limits = STANDARD, is_token_needed: bool = False, is_read_only: bool = False
) -> FastAPI:
    """The application over a folder of runs; it begins to read the folder at once.

    Args:
        folder: Where runs are, or a run.
        limits: What requests may use.
        is_token_needed: Whether reading needs the token, because others reach the server.
        is_read_only: Whether all actions are refused.

    Returns:
        The application; its `state.lab` is the `Lab`.

    Raises:
        ConfigError: `folder` is no folder.
    """
    lab = _lab(folder, limits, is_token_needed=is_token_needed, is_read_only=is_read_only)

    app = FastAPI(
        title="residua lab",
        docs_url=None,  # its page loads scripts of other hosts
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    app.state.lab = lab
    app.add_middleware(Access, lab=lab)
    app.add_middleware(Guard, service=lab)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    for router in ROUTERS:
        app.include_router(router)
    _add_page(app, lab)
    lab.table.start()
    return app


def _lab(folder: Path, limits: Limits, *, is_token_needed: bool, is_read_only: bool) -> Lab:
    runs, store, broadcast = RunFolder(folder), SeriesStore(), Broadcast()
    return Lab(
        folder=runs,
        table=RunTable(runs, store, broadcast.publish),
        store=store,
        curves=LatestCurves(store),
        notes=Notes(runs.path),
        jobs=Jobs(broadcast.publish),
        broadcast=broadcast,
        networks=ComputeProcess(),
        comparisons=ComputeProcess(),
        bodies=Bodies(limits),
        contents=FolderContents(runs),
        limits=limits,
        token=new_token(),
        is_token_needed=is_token_needed,
        is_read_only=is_read_only,
    )


def _add_page(app: FastAPI, lab: Lab) -> None:
    """The page and its files; the HTML carries the token of actions."""
    files = {name: file for name, file in page_files().items() if name in SHARED} | page_files(PAGE)
    index = files.pop(INDEX)
    token = "" if lab.is_read_only else lab.token
    content = index.content.replace(b"{{token}}", token.encode())
    index = page_file(content, index.content_type)

    @app.get("/", response_class=Response)
    async def page(request: Request) -> Response:
        """The page."""
        return page_response(request, index)

    @app.get("/assets/{name}", response_class=Response)
    async def asset(request: Request, name: str) -> Response:
        """A file of the page."""
        return page_response(request, files.get(name))


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = {404: "there is no such address", 405: "the method is not allowed here"}
    return error_response(error.status_code, text.get(error.status_code, "the request cannot be served"))


async def _wrong_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    names = ", ".join(sorted({str(each["loc"][-1]) for each in error.errors()}))
    return error_response(400, f"{names} cannot be used")
