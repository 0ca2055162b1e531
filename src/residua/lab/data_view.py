"""Routes of the view "Data": what can be checked, and the tables of cleans."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, Response

from residua.lab.actions import in_thread
from residua.lab.folder_contents import FolderContents
from residua.lab.state import TheLab

if TYPE_CHECKING:
    from residua.lab.clean_tables import CleanTables

router = APIRouter(prefix="/api/data")
Name = Annotated[str, Query(max_length=1000)]


@router.get("")
async def list_data(lab: TheLab) -> JSONResponse:
    """Images that can be checked, and the tables of cleans."""

    def lists() -> dict[str, Any]:
        return {"images": list(lab.contents.sources()), "sheets": list(_tables(lab.contents).files())}

    return JSONResponse(await in_thread(lists))


@router.get("/sheet")
async def show_sheet(lab: TheLab, name: Name) -> JSONResponse:
    """The table of a clean."""
    return JSONResponse(await in_thread(lambda: _tables(lab.contents).read(name)))


@router.post("/sheet")
async def change_sheet(
    lab: TheLab,
    name: Name,
    digest: Annotated[str, Body()],
    edits: Annotated[dict[str, dict[str, str]], Body()],
) -> JSONResponse:
    """Write edits into the table of a clean."""

    def write() -> dict[str, Any]:
        from residua.curate.sheet import SheetEdit

        values = {
            path: SheetEdit(edit.get("action", ""), edit.get("suggested", "")) for path, edit in edits.items()
        }
        return _tables(lab.contents).edit(name, values, digest=digest)

    return JSONResponse(await in_thread(write))


@router.get("/picture")
async def show_picture(lab: TheLab, name: Name, path: Name) -> Response:
    """One image of a table."""
    content = await in_thread(lambda: _tables(lab.contents).picture(name, path))
    return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


@cache
def _tables(contents: FolderContents) -> "CleanTables":
    """The tables, from the first request on: torch takes seconds to import, and memory."""
    from residua.lab.clean_tables import CleanTables

    return CleanTables(contents)
