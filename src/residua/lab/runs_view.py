"""Routes of the table of runs."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse

from residua.errors import ResiduaError
from residua.lab.actions import in_thread
from residua.lab.export import MAX_EXPORT_RUNS, export_page
from residua.lab.state import TheLab

router = APIRouter(prefix="/api")


@router.get("/runs")
async def list_runs(lab: TheLab) -> JSONResponse:
    """All runs as far as they were read; events bring the rest."""

    def table() -> dict[str, Any]:
        problem = ""
        notes: dict[str, Any] = {}
        try:
            notes = lab.notes.all()
        except (ResiduaError, OSError) as error:
            problem = str(error)
        return {
            "folder": lab.folder.path.name,
            "read_only": lab.is_read_only,
            "rows": [asdict(row) for row in lab.table.rows()],
            "unread": lab.table.num_unread,
            "scanned": lab.table.is_scanned,
            "notes": notes,
            "problem": problem,
        }

    return JSONResponse(await in_thread(table))


@router.get("/export")
async def export(
    lab: TheLab, run: Annotated[list[str], Query(min_length=1, max_length=MAX_EXPORT_RUNS)]
) -> Response:
    """Runs as one HTML file, to be saved."""
    runs = {name: lab.run_path(name) for name in run}
    page = await in_thread(lambda: export_page(runs, lab.store))
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in run[0])[:60]
    name = f"{name or 'run'}.html" if len(run) == 1 else f"{len(run)}-runs.html"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Security-Policy": "sandbox"}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/events")
async def events(lab: TheLab) -> StreamingResponse:
    """Server-sent events: `runs`, `notes`, `job`, `reload`."""
    return StreamingResponse(
        lab.broadcast.stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )
