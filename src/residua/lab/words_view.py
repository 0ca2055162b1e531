"""Routes of the view "Words": check a typed network at every keystroke, and the result of a trained one."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from residua.lab.actions import in_thread
from residua.lab.lessons import EXAMPLES, LESSONS, SHORTCUTS
from residua.lab.state import TheRun
from residua.lab.word_check import MAX_TEXT, TypedNetwork, check
from residua.measure.score import wilson
from residua.runs.run import Run
from residua.spec.describe import cost
from residua.spec.word_network import DEPTH

router = APIRouter(prefix="/api/words")


@router.get("")
async def lessons() -> JSONResponse:
    """The lessons, examples of words, and the shortcuts."""
    return JSONResponse(
        {
            "lessons": [asdict(lesson) for lesson in LESSONS],
            "examples": [asdict(example) for example in EXAMPLES],
            "shortcuts": list(SHORTCUTS.items()),
        }
    )


@router.get("/check")
async def check_typed(
    text: Annotated[str, Query(max_length=MAX_TEXT + 1)] = "",
    depth: Annotated[int, Query(ge=0, le=1 << 20)] = DEPTH,
    shortcut: Annotated[str, Query(max_length=40)] = "",
) -> JSONResponse:
    """Whether a typed word or network can be used; if so its drawings, counts and published values."""
    return JSONResponse(await in_thread(lambda: check(TypedNetwork(text, depth, shortcut))))


@router.get("/result")
async def show_result(path: TheRun) -> JSONResponse:
    """Errors of a run after its last epoch, in percent, with the interval of the test error."""
    return JSONResponse(await in_thread(lambda: _result(Run(path))))


def _result(run: Run) -> dict[str, Any]:
    arch, rows, num_images = run.recipe.arch, run.epochs("test_error"), int(run.identity.get("test", 0))
    result: dict[str, Any] = {"network": arch.name, "depth": arch.depth(), "params": cost(arch).params}
    if not rows:
        return result
    test_error = float(rows[-1]["test_error"])
    right = round(num_images * (1 - test_error / 100))
    low, high = wilson(right, num_images) if num_images else (0.0, 100.0)
    return result | {
        "epochs": rows[-1]["epoch"],
        "train_error": rows[-1].get("train_error"),
        "test_error": test_error,
        "interval": [100 - high, 100 - low],
        "images": num_images,
        "is_finished": run.finished,
    }
