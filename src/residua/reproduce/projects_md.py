"""Sections of docs/explanation/reproductions.md about experiments of ours: the ladder and the highway."""

from collections.abc import Iterator
from pathlib import Path

from residua.reproduce import highway, ladder, ladder_page
from residua.reproduce.highway import Highway, finished_highway
from residua.reproduce.ladder_steps import LadderReproduction, finished_ladder
from residua.reproduce.markdown import side_by_side, table, wrap, write_pictures


def project_sections(folder: Path, pictures: Path) -> Iterator[tuple[str, str, str, str]]:
    """Each experiment at each budget: name, title, budget and section, which is empty if it was not run.

    Args:
        folder: The folder that `residua reproduce -o` used.
        pictures: Folder of the pictures.
    """
    climbed = {budget: finished_ladder(budget, folder) for budget in ladder.EXTENTS}
    driven = {budget: finished_highway(budget, folder) for budget in highway.EXTENTS}
    for budget, climb in climbed.items():
        if climb or not any(climbed.values()):
            yield ladder.NAME, ladder.TITLE, budget, _ladder_section(climb, pictures) if climb else ""
    for budget, drive in driven.items():
        if drive or not any(driven.values()):
            yield highway.NAME, highway.TITLE, budget, _highway_section(drive, pictures) if drive else ""


def _ladder_section(climb: LadderReproduction, pictures: Path) -> str:
    name = f"{ladder.NAME.replace('/', '-')}-{climb.budget}"
    ((picture, caption),) = write_pictures([ladder_page.ladder_figure(climb)], pictures, name)
    scale = (
        ""
        if climb.budget == "full"
        else " Scaled down: part of the images, narrow networks, a short training."
    )
    steps = [f"- {one.step.name}: {one.step.change}" for one in climb.steps]
    parts = [
        f"## {ladder.NAME}, {climb.budget}",
        wrap(f"An experiment of ours: {ladder.TITLE}. {climb.data}.{scale}"),
        picture,
        wrap(caption),
        table(ladder_page.HEAD, ladder_page.table_rows(climb), ladder_page.NUMERIC),
        "\n".join(f"- {sentence}" for sentence in ladder_page.result_sentences(climb)),
        "\n".join(steps),
        wrap(ladder_page.cleaning_sentence(climb)),
        wrap(ladder_page.machine_sentence(climb)),
        f"```console\n$ {ladder_page.command(climb)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _highway_section(drive: Highway, pictures: Path) -> str:
    name = f"{highway.NAME.replace('/', '-')}-{drive.budget}"
    links = write_pictures(highway.highway_figures(drive), pictures, name)
    parts = [
        f"## {highway.NAME}, {drive.budget}",
        wrap(f"An experiment of ours, scaled down: {highway.TITLE}. {drive.data}."),
        side_by_side(links),
        "\n".join(f"- {sentence}" for sentence in highway.result_sentences(drive)),
        wrap(highway.EXPLANATION),
        f"```console\n$ {highway.command(drive)}\n```",
    ]
    return "\n\n".join(parts) + "\n"
