"""Routes of the view "Look inside": a network without some of its blocks, its mistakes, and the studies."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from residua.analyse.table import STUDIES, find_study
from residua.lab.actions import in_thread
from residua.lab.folder_contents import FolderContents
from residua.lab.released import downloaded_weights
from residua.lab.run_folder import RunFolder
from residua.lab.state import Lab, TheLab
from residua.serve.problems import Refusal

if TYPE_CHECKING:
    from residua.lab.studied import StudiedNetworks

router = APIRouter(prefix="/api/inside")
MAX_PICTURES = 60
"""Most pictures of mistakes in one response."""


Value = TypeVar("Value")
Name = Annotated[str, Query(max_length=1000)]
Count = Annotated[int, Query(ge=0, le=1 << 20)]


@router.get("")
async def list_networks(lab: TheLab) -> JSONResponse:
    """What can be studied, with which images, by which studies."""

    def lists() -> dict[str, Any]:
        studies = [find_study(name) for name in STUDIES]
        return {
            "files": list(lab.contents.files()),
            "released": lab.networks.call(downloaded_weights),
            "images": list(lab.contents.sources()),
            "studies": [
                {"name": study.name, "title": study.title, "measures": study.measures.replace("`", "")}
                for study in studies
            ],
        }

    return JSONResponse(await in_thread(lists))


@router.get("/network")
async def show_network(lab: TheLab, name: Name, images: Name = "", count: Count = 0) -> JSONResponse:
    """A network with its blocks, its classes and the labels of its images."""
    return JSONResponse(await _ask(lab, _describe, name, images, count))


@router.get("/lesion")
async def remove_blocks(
    lab: TheLab,
    name: Name,
    images: Name = "",
    count: Count = 0,
    removed: Annotated[str, Query(max_length=10_000)] = "",
) -> JSONResponse:
    """Accuracy and predictions without blocks; `removed` are their numbers from 0, with commas between."""

    try:
        numbers = frozenset(int(text) for text in removed.split(",") if text)
    except ValueError:
        raise Refusal(
            400, "removed cannot be used: give numbers with commas between", reason="bad request"
        ) from None
    return JSONResponse(await _ask(lab, _lesion, name, images, count, numbers))


@router.get("/picture")
async def show_picture(
    lab: TheLab, name: Name, index: Annotated[int, Query(ge=0)], images: Name = "", count: Count = 0
) -> Response:
    """One of the images."""
    content = await _ask(lab, _picture, name, images, count, index)
    return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


@router.get("/mistakes")
async def show_mistakes(lab: TheLab, name: Name, images: Name = "", count: Count = 0) -> JSONResponse:
    """The most confident mistakes, the least likely labels, and the confusion matrix."""
    return JSONResponse(await _ask(lab, _mistakes, name, images, count))


async def _ask(lab: Lab, function: Callable[..., Value], *args: Any) -> Value:
    """What a function of this module returns of a network, in the process that holds networks."""
    return await in_thread(lambda: lab.networks.call(function, lab.contents.root, *args))


# What follows runs in that process.


@cache
def _networks(root: Path) -> "StudiedNetworks":
    """The networks in memory, from the first call on."""
    from residua.lab.studied import StudiedNetworks

    return StudiedNetworks(FolderContents(RunFolder(root)))


def _describe(root: Path, name: str, images: str, count: int) -> dict[str, Any]:
    one = _networks(root).open(name, images, count)
    return {
        "name": name,
        "network": one.arch.name,
        "classes": list(one.classes),
        "labels": one.subject.labels.tolist(),
        "blocks": one.blocks(),
        "whole": one.lesion(frozenset()),
    }


def _lesion(root: Path, name: str, images: str, count: int, removed: frozenset[int]) -> dict[str, Any]:
    return _networks(root).open(name, images, count).lesion(removed)


def _picture(root: Path, name: str, images: str, count: int, index: int) -> bytes:
    return _networks(root).open(name, images, count).picture(index)


def _mistakes(root: Path, name: str, images: str, count: int) -> dict[str, Any]:
    one = _networks(root).open(name, images, count)
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
