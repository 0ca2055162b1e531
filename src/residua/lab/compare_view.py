"""Routes of the view "Compare": what differs in the settings and words of runs, and in their predictions."""

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from residua.errors import ConfigError
from residua.lab.actions import in_thread
from residua.lab.pictures import png
from residua.lab.state import Lab, TheLab
from residua.recipes.fields import recipe_differences
from residua.report.drawing import describe_network, draw_networks
from residua.runs.run import Run
from residua.spec.describe import plain_numbers, word_differences

if TYPE_CHECKING:
    from residua.jobs.compare import Pair
    from residua.lab.comparisons import Comparisons

router = APIRouter(prefix="/api/compare")
MAX_RUNS = 6
"""Most runs that are compared at once; with more pairs the test finds less."""
MAX_DRAWINGS = 3
"""Networks distinct side by side."""
MAX_CHANGED = 48
"""Most images that are shown of those on which two networks disagree."""

Runs = Annotated[list[str], Query(max_length=MAX_RUNS)]


@router.get("")
async def compare_recipes(lab: TheLab, run: Runs) -> JSONResponse:
    """The settings and the words in which runs differ."""
    return JSONResponse(await in_thread(lambda: _recipes(lab, run)))


@router.get("/test")
async def compare_predictions(lab: TheLab, run: Runs) -> JSONResponse:
    """The first run and each of the others, example by example."""
    paths = await in_thread(lambda: _paths(lab, run))
    return JSONResponse(await in_thread(lambda: lab.comparisons.call(_test, paths, run)))


@router.get("/picture")
async def show_picture(lab: TheLab, run: Runs, index: Annotated[int, Query(ge=0)]) -> Response:
    """One of the images that the runs were compared on."""
    paths = await in_thread(lambda: _paths(lab, run))
    content = await in_thread(lambda: lab.comparisons.call(_picture, paths, index))
    return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


def _paths(lab: Lab, names: list[str]) -> tuple[Path, ...]:
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise ConfigError("give two or more different runs to compare")
    return tuple(lab.run_path(name) for name in names)


def _recipes(lab: Lab, names: list[str]) -> dict[str, Any]:
    recipes = [Run(path).recipe for path in _paths(lab, names)]
    archs = [one.arch for one in recipes]
    first = archs[0]
    distinct = list(dict.fromkeys(archs))[:MAX_DRAWINGS]
    return {
        "runs": [
            {"name": name, "network": arch.name, "source": arch.source, "counts": plain_numbers(arch)}
            for name, arch in zip(names, archs, strict=True)
        ],
        "settings": [
            {**asdict(row), "meaning": row.meaning.replace("`", "")} for row in recipe_differences(recipes)
        ],
        "words": [
            [{**asdict(row), "is_equal": row.is_equal} for row in word_differences(first, other)]
            for other in archs[1:]
        ],
        "drawing": draw_networks(distinct, fold=True),
        "description": " ".join(map(describe_network, distinct)),
    }


# What follows runs in the process of comparisons.


@cache
def _comparisons() -> "Comparisons":
    """The comparisons in memory, from the first call on."""
    from residua.lab.comparisons import Comparisons

    return Comparisons()


def _picture(paths: tuple[Path, ...], index: int) -> bytes:
    from residua.tasks.classify.pages import thumbnail

    split = _comparisons().pairs(paths)[0].first.split
    if index >= len(split):
        raise ConfigError(f"no image {index}: there are {len(split)}")
    return png(thumbnail(split, index))


def _test(paths: tuple[Path, ...], names: list[str]) -> dict[str, Any]:
    from residua.jobs.comparison_page import conclusions

    pairs = _comparisons().pairs(paths)
    first = pairs[0].first
    evaluations = [first, *(pair.second for pair in pairs)]
    return {
        "conclusions": conclusions(pairs),
        "classes": list(first.split.classes),
        "noun": first.split.media_type.noun,
        "split": first.split.name,
        "scores": [
            {"name": name, "accuracy": one.score.top1, "interval": one.score.interval, "images": one.score.n}
            for name, one in zip(names, evaluations, strict=True)
        ],
        "confusions": [one.confusion().tolist() for one in evaluations],
        "pairs": [_pair(pair, name) for pair, name in zip(pairs, names[1:], strict=True)],
    }


def _pair(pair: "Pair", name: str) -> dict[str, Any]:
    from residua.jobs.compare import changes
    from residua.measure.compare import changed

    comparison, indices = pair.comparison, changed(pair.first, pair.second).tolist()
    return {
        "name": name,
        "difference": comparison.difference.value,
        "interval": comparison.difference.interval,
        "won": comparison.wins,
        "lost": comparison.losses,
        "both": comparison.both,
        "neither": comparison.neither,
        "p": pair.p,
        "num_changed": len(indices),
        "changed": [
            {"index": index, **row}
            for index, row in zip(indices[:MAX_CHANGED], changes(pair)[:MAX_CHANGED], strict=True)
        ],
    }
