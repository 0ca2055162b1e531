"""Routes of the papers: their tables and figures, what reproducing each takes, and the pages that exist.

Counting the networks imports torch, which takes half a gigabyte: a command does it once, in its own process.
"""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse

from residua.lab.actions import JOB_PAGE_POLICY, in_thread
from residua.lab.job_kinds import REPRODUCE_BUDGETS, reproduce_folder
from residua.lab.state import Lab, TheLab
from residua.reproduce.items import ITEMS
from residua.serve.problems import Refusal

router = APIRouter(prefix="/api/papers")


@router.get("")
async def papers(lab: TheLab) -> JSONResponse:
    """All tables and figures of the papers with state, cost and conclusion."""
    return JSONResponse(await in_thread(lambda: _items(lab)))


@router.get("/page")
async def page(lab: TheLab, item: str, budget: str) -> FileResponse:
    """The page of a reproduction in this folder."""
    if item not in ITEMS or budget not in REPRODUCE_BUDGETS:
        raise Refusal(404, "there is no such table or figure", reason="not found")
    path = reproduce_folder(lab) / _page_name(item, budget)
    if path.is_symlink() or not path.is_file() or path.parent.is_symlink():
        raise Refusal(404, "it was not reproduced in this folder", reason="not found")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": JOB_PAGE_POLICY})


def _items(lab: Lab) -> list[dict[str, Any]]:
    folder = reproduce_folder(lab)
    return [
        entry
        | {
            "conclusion": ITEMS[entry["item"]].conclusion,
            "pages": [
                budget
                for budget in REPRODUCE_BUDGETS
                if (folder / _page_name(entry["item"], budget)).is_file()
            ],
        }
        for entry in lab.jobs.listing(("reproduce", "--list", "--json", "-o", str(folder)))
        if entry["item"] in ITEMS  # experiments of ours are not of a paper
    ]


def _page_name(item: str, budget: str) -> str:
    return f"{item.replace('/', '-')}-{budget}.html"
