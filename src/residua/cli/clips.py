"""`residua predict` of networks that read clips."""

from pathlib import Path

import typer

from residua.cli.failures import BAD_DATA
from residua.cli.terminal import console, next_line, put_json, say, show_table


def predict(
    trained: Path, videos: list[Path], topk: int, timeline: Path | None, out: Path | None, *, as_json: bool
) -> None:
    """Name what happens in videos, and draw it over time."""
    from residua.data.sources import list_images
    from residua.jobs.clips import answer, watched
    from residua.jobs.predict import save
    from residua.tasks.video.clips import CLIP
    from residua.tasks.video.timeline import page
    from residua.tasks.video.watch import load
    from residua.training.run import write

    found = list(watched(load(trained), list_images(videos, gate=CLIP)))
    answers = [answer(one, topk=topk) for one in found]
    good = [a for a in answers if not a.error]
    to = console(json_on_stdout=as_json)
    if out:
        save(out, answers)
        say(to, f"{len(good)} of {len(answers)} videos written to {out}")
    if timeline and good:
        write(timeline, page(tuple(one.seen for one in found if one.seen), trained.name))
        say(to, f"timeline  {timeline}")
    if as_json:
        put_json([a.plain() for a in answers])
    elif not out:
        rows = [(a.file, *(f"{name} {100 * p:.1f} %" for name, p in a.top)) for a in good]
        show_table(to, ("video", *("" for _ in range(topk))), rows)
    for a in answers:
        if a.error:
            say(console(json_on_stdout=True), f"residua: {a.error}")
    next_line(
        to,
        f"residua evaluate {trained}" if timeline else f"residua predict {trained} VIDEO --timeline t.html",
    )
    if len(good) < len(answers):
        raise typer.Exit(BAD_DATA)
