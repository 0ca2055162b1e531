"""Route that tries an image on a run."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from residua.lab.actions import in_thread
from residua.lab.state import TheLab, TheRun

router = APIRouter(prefix="/api")


@router.post("/predict")
async def predict(request: Request, lab: TheLab, run: TheRun) -> JSONResponse:
    """Predict the image in the body with the network of a run."""
    image = await lab.bodies.receive(request)
    return JSONResponse(await in_thread(lambda: lab.model.predict(run, image)))
