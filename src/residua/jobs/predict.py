"""Predict files with a trained network, and write predictions and other tables to files."""

import io
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from residua import tasks
from residua.data.table_cells import csv_text, protect
from residua.data.walk import list_images
from residua.errors import CheckpointError, ConfigError
from residua.events import Event, Note
from residua.files import write_file
from residua.tasks.predict_task import Predictions

SUFFIXES = (".csv", ".jsonl", ".parquet")


def predict(
    trained: Path,
    files: Sequence[Path],
    *,
    topk: int = 1,
    least: float | None = None,
    options: Collection[str] = (),
    device: str = "auto",
    batch_size: int = 0,
) -> tuple[Predictions, str]:
    """Predict images or videos.

    Args:
        trained: A run, a saved folder, a checkpoint file, or published weights by name.
        files: Files, or folders of them.
        topk: Classes for each file.
        least: Lowest score of a box; None for the default.
        options: Names in `tasks.predict_task.OPTIONS` that the user gave.
        device: `cpu`, `cuda`, `mps`, or `auto` for the first accelerator, else the CPU.
        batch_size: Files that are predicted at once; 0 takes what the task finds suitable.

    Returns:
        One prediction or error for each file, and what a file is called: `image` or `video`.

    Raises:
        CheckpointError: There is no network, or it is damaged.
        ConfigError: An option has no effect on this network.
        DataError: There are no files.
    """
    if not trained.exists():
        from residua.weights import named  # only names need it

        if not named.is_trained(str(trained)):
            raise CheckpointError(f"{trained} does not exist: give a run, or one of its checkpoint files")
    task = tasks.predict_task_of([trained], options)
    paths = list_images(files, media_type=task.media_type)
    predictor = task.load(trained, device=device)
    predictions = task.predict(predictor, paths, topk=topk, least=least, batch_size=batch_size)
    return predictions, task.media_type.noun


def obtain(trained: Sequence[Path], *, listen: Callable[[Event], None] = lambda _: None) -> None:
    """Download the published weights among `trained`, so that they are on this machine when they are loaded.

    Args:
        trained: Runs, folders, files, and names of published weights.
        listen: Receives the progress of a download, and what is known of the weights.

    Raises:
        ConfigError: There are no weights of such a name.
        CheckpointError: A file is another one than was published.
        UnreachableError: Weights are not on this machine, and cannot be downloaded.
    """
    for path in trained:
        if path.exists():
            continue
        from residua.weights import named  # only names need it

        if named.is_trained(str(path)):
            for note in named.open_weights(str(path), listen=listen).notes:
                listen(Note(note))


def check_out(out: Path | None, *, force: bool, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Check that a file can be written, before any work is done.

    Args:
        out: The file; None needs no check.
        force: Replace a file that exists.
        suffixes: Those that are allowed.

    Raises:
        ConfigError: The suffix is not allowed, or the folder is missing.
        FileExistsError: The file exists, and `force` is false.
    """
    if out is None:
        return
    if out.suffix not in suffixes:
        raise ConfigError(f"{out} ends in {out.suffix!r}: give {', '.join(suffixes)}")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is not a folder: create it first, or write elsewhere")
    if out.exists() and not force:
        raise FileExistsError(f"{out} exists already: give --force to replace it")


def save(out: Path, predictions: Predictions) -> None:
    """Write `predictions` in the format of the suffix. ConfigError when Parquet needs a missing package."""
    head, rows = predictions.columns()
    save_table(out, head, rows, values=predictions.to_json())


def save_table(
    out: Path, head: Sequence[str], rows: Sequence[Sequence[Any]], *, values: Sequence[dict[str, Any]]
) -> None:
    """Write a table to a file.

    Args:
        out: A path that ends in .csv, .parquet or .jsonl.
        head: Names of the columns, one of them `file`.
        rows: Text, numbers and None, for .csv and .parquet; text that a spreadsheet would take for a
            formula is written after an apostrophe (`data.table_cells`).
        values: The same as JSON values, one a line of .jsonl.

    Raises:
        ConfigError: Parquet needs a missing package.
    """
    if out.suffix == ".jsonl":
        write_file(out, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))
        return
    if out.suffix == ".csv":
        write_file(out, csv_text([head, *rows]))
        return
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise ConfigError("Parquet needs pyarrow: pip install pyarrow, or write .csv or .jsonl") from None
    cells = [[protect(cell) for cell in row] for row in rows]
    columns = dict(zip(head, zip(*cells, strict=True) if cells else [()] * len(head), strict=True))
    columns["file"] = tuple(name.encode("utf-8", "backslashreplace").decode() for name in columns["file"])
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer)
    write_file(out, buffer.getvalue())
