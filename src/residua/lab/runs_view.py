"""Routes of the table of runs."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, StreamingResponse

from residua.errors import ResiduaError
from residua.lab.actions import in_thread
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


@router.get("/events")
async def events(lab: TheLab) -> StreamingResponse:
    """Server-sent events: `runs`, `notes`, `job`, `reload`."""
    return StreamingResponse(
        lab.broadcast.stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )
