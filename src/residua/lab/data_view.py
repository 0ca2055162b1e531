"""Routes of the view "Data": what can be checked, and the tables of cleans."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, Response

from residua.lab.actions import in_thread
from residua.lab.folder_contents import FolderContents
from residua.lab.run_folder import RunFolder
from residua.lab.state import Lab, TheLab

if TYPE_CHECKING:
    from residua.lab.clean_tables import CleanTables

router = APIRouter(prefix="/api/data")
Value = TypeVar("Value")
Name = Annotated[str, Query(max_length=1000)]


@router.get("")
async def list_data(lab: TheLab) -> JSONResponse:
    """Images that can be checked, and the tables of cleans."""

    def lists() -> dict[str, Any]:
        return {"images": list(lab.contents.sources()), "sheets": list(lab.contents.tables())}

    return JSONResponse(await in_thread(lists))


@router.get("/sheet")
async def show_sheet(lab: TheLab, name: Name) -> JSONResponse:
    """The table of a clean."""
    return JSONResponse(await _ask(lab, _read, name))


@router.post("/sheet")
async def change_sheet(
    lab: TheLab,
    name: Name,
    digest: Annotated[str, Body()],
    edits: Annotated[dict[str, dict[str, str]], Body()],
) -> JSONResponse:
    """Write edits into the table of a clean."""
    return JSONResponse(await _ask(lab, _edit, name, digest, edits))


@router.get("/picture")
async def show_picture(lab: TheLab, name: Name, path: Name) -> Response:
    """One image of a table."""
    content = await _ask(lab, _picture, name, path)
    return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


async def _ask(lab: Lab, function: Callable[..., Value], *args: Any) -> Value:
    """What a function of this module returns, in the process that reads images."""
    return await in_thread(lambda: lab.networks.call(function, lab.contents.root, *args))


# What follows runs in that process.


@cache
def _tables(root: Path) -> "CleanTables":
    """The tables with the images that were listed."""
    from residua.lab.clean_tables import CleanTables

    return CleanTables(FolderContents(RunFolder(root)))


def _read(root: Path, name: str) -> dict[str, Any]:
    return _tables(root).read(name)


def _edit(root: Path, name: str, digest: str, edits: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    from residua.curate.sheet import SheetEdit

    values = {
        path: SheetEdit(edit.get("action", ""), edit.get("suggested", "")) for path, edit in edits.items()
    }
    return _tables(root).edit(name, values, digest=digest)


def _picture(root: Path, name: str, path: str) -> bytes:
    return _tables(root).picture(name, path)
