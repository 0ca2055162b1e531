"""Routes of the view "Look inside": a network without some of its blocks, its mistakes, and the studies."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from residua.analyse.table import STUDIES, find_study
from residua.errors import ConfigError
from residua.lab.actions import in_thread
from residua.lab.folder_contents import FolderContents
from residua.lab.state import TheLab
from residua.report.drawing import describe_network, draw_column_only
from residua.spec.describe import plain_numbers

if TYPE_CHECKING:
    from residua.lab.studied import StudiedNetwork, StudiedNetworks

router = APIRouter(prefix="/api/inside")
MAX_PICTURES = 60
"""Most pictures of mistakes in one response."""


Name = Annotated[str, Query(max_length=1000)]
Count = Annotated[int, Query(ge=0, le=1 << 20)]


@router.get("")
async def list_networks(lab: TheLab) -> JSONResponse:
    """What can be studied, with which images, by which studies."""

    def lists() -> dict[str, Any]:
        studies = [find_study(name) for name in STUDIES]
        return {
            "files": list(lab.contents.files()),
            "images": list(lab.contents.sources()),
            "studies": [
                {"name": study.name, "title": study.title, "measures": study.measures} for study in studies
            ],
        }

    return JSONResponse(await in_thread(lists))


@router.get("/network")
async def show_network(lab: TheLab, name: Name, images: Name = "", count: Count = 0) -> JSONResponse:
    """A network with its blocks, its classes and the labels of its images."""

    def describe() -> dict[str, Any]:
        one = _networks(lab.contents).open(name, images, count)
        return {
            "name": name,
            "network": one.arch.name,
            "classes": list(one.classes),
            "labels": one.subject.labels.tolist(),
            "blocks": one.blocks(),
            "counts": plain_numbers(one.arch),
            "drawing": draw_column_only(one.arch),
            "description": describe_network(one.arch),
            "whole": one.lesion(frozenset()),
        }

    return JSONResponse(await in_thread(describe))


@router.get("/lesion")
async def remove_blocks(
    lab: TheLab,
    name: Name,
    images: Name = "",
    count: Count = 0,
    removed: Annotated[str, Query(max_length=10_000)] = "",
) -> JSONResponse:
    """Accuracy and predictions without blocks; `removed` are their numbers from 0, with commas between."""

    def lesion() -> dict[str, Any]:
        try:
            numbers = frozenset(int(text) for text in removed.split(",") if text)
        except ValueError:
            raise ConfigError("removed cannot be used: give numbers with commas between") from None
        return _networks(lab.contents).open(name, images, count).lesion(numbers)

    return JSONResponse(await in_thread(lesion))


@router.get("/picture")
async def show_picture(
    lab: TheLab, name: Name, index: Annotated[int, Query(ge=0)], images: Name = "", count: Count = 0
) -> Response:
    """One of the images."""
    content = await in_thread(lambda: _networks(lab.contents).open(name, images, count).picture(index))
    return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


@router.get("/mistakes")
async def show_mistakes(lab: TheLab, name: Name, images: Name = "", count: Count = 0) -> JSONResponse:
    """The most confident mistakes, the least likely labels, and the confusion matrix."""
    return JSONResponse(await in_thread(lambda: _mistakes(_networks(lab.contents).open(name, images, count))))


@cache
def _networks(contents: FolderContents) -> "StudiedNetworks":
    """The networks in memory, from the first request on: torch takes seconds to import, and memory."""
    from residua.lab.studied import StudiedNetworks

    return StudiedNetworks(contents)


def _mistakes(one: "StudiedNetwork") -> dict[str, Any]:
    evaluation = one.evaluation()
    classes, probabilities = one.classes, evaluation.probabilities

    def row(index: int) -> dict[str, Any]:
        label, predicted = int(evaluation.labels[index]), int(evaluation.predicted[index])
        return {
            "index": index,
            "title": evaluation.split.title(index),
            "label": classes[label],
            "predicted": classes[predicted],
            "confidence": round(float(probabilities[index, predicted]), 3),
            "label_probability": round(float(probabilities[index, label]), 3),
        }

    return {
        "classes": list(classes),
        "confusion": evaluation.confusion().tolist(),
        "images": len(evaluation.labels),
        "worst": [row(index) for index in evaluation.most_confident_mistakes(MAX_PICTURES).tolist()],
        "surprising": [row(index) for index in evaluation.least_likely_labels(MAX_PICTURES).tolist()],
    }
