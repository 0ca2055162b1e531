"""Route that tries an image on a run."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from residua.lab.actions import in_thread
from residua.lab.state import TheLab, TheRun

if TYPE_CHECKING:
    from residua.lab.latest_model import LatestModel

router = APIRouter(prefix="/api")


@router.post("/predict")
async def predict(request: Request, lab: TheLab, run: TheRun) -> JSONResponse:
    """Predict the image in the body with the network of a run."""
    async with lab.bodies.receive(request) as image:
        return JSONResponse(await in_thread(lambda: lab.networks.call(_predict, run, image)))


# What follows runs in the process that holds networks.


@cache
def _latest_model() -> "LatestModel":
    from residua.lab.latest_model import LatestModel

    return LatestModel()


def _predict(run: Path, image: bytes) -> dict[str, Any]:
    return _latest_model().predict(run, image)
