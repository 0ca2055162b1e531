"""Predict files with a trained network, in memory or into a file that can be continued; it needs no torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from residua import tasks
from residua.data.inputs import Inputs, list_inputs
from residua.errors import CheckpointError
from residua.events import Event, Note
from residua.files import near_path
from residua.jobs.class_folders import ClassFolders
from residua.jobs.fast_predictor import fast_predictor
from residua.jobs.prediction_file import PredictionFile, PredictionProgress, open_predictions
from residua.predict.exported import is_exported
from residua.spec.record import to_json
from residua.tasks.predict_task import AnyPredictTask, Predictions, PredictOptions


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What a user asks to be predicted."""

    trained: Path
    """A run, a saved folder, a checkpoint file, an exported file, or published weights by name."""
    inputs: tuple[str, ...]
    """Files, folders of them, or sources by name."""
    options: PredictOptions
    """What is predicted of each."""
    user_options: tuple[str, ...] = ()
    """Names in `tasks.predict_task.OPTIONS` that the user gave."""
    device: str = "auto"
    """`cpu`, `cuda`, `mps`, or `auto` for the first accelerator, else the CPU."""
    sort_into: Path | None = None
    """Folder into which inputs are copied by their class; None copies none."""
    cluster: str = ""
    """Address of a Ray cluster that computes; empty computes here."""


@dataclass(frozen=True, eq=False, slots=True)
class PredictJob:
    """A network that is loaded, and the inputs that it is to predict."""

    task: AnyPredictTask
    """How the network is used."""
    predictor: Any
    """The network, as the task loads it."""
    inputs: Inputs
    """Images or videos."""
    options: PredictOptions
    """What is predicted of each."""
    trained: Path
    """Where the network is, as the user gave it."""
    folders: ClassFolders | None = None
    """Where inputs are copied by their class; None copies none."""
    predict_with: Any = None
    """What predicts in place of `predictor`, with another engine; None for itself."""
    device: str = "auto"
    """As in `PredictRequest`."""
    cluster: str = ""
    """As in `PredictRequest`."""

    @property
    def noun(self) -> str:
        """What an input is called: `image` or `video`."""
        return self.task.media_type.noun

    @property
    def next_command(self) -> str:
        """The command that may follow for the network: `evaluate`, or `serve` for an exported file."""
        return "serve" if is_exported(self.trained) else "evaluate"

    def accelerated(self, listen: Callable[[Event], None]) -> "PredictJob":
        """This job with the engine that its options name; machines of a cluster choose theirs themselves.

        Args:
            listen: Receives what is measured.

        Raises:
            ConfigError: There is no such engine here.
        """
        if self.cluster:
            return self
        predictor = fast_predictor(self.task, self.predictor, self.inputs, self.options, listen)
        return replace(self, predict_with=predictor)

    def predictions(
        self, *, start: int = 0, tell: Callable[[int, int], None] = lambda _done, _total: None
    ) -> Iterator[Predictions]:
        """The predictions of a few inputs at a time.

        Args:
            start: Index of the first input.
            tell: Receives the number of inputs done, and their total.

        Raises:
            UnreachableError: A server that holds inputs does not answer.
            NonFiniteError: The network computes NaN or infinity.
            OSError: An input cannot be copied.
            ConfigError: There is no such cluster.
        """
        done = start
        for predictions in self._parts(start):
            if self.folders:
                for i, name in zip(count(done), predictions.best_classes):
                    if name is not None:
                        self.folders.copy(self.inputs, i, name)
            done += len(predictions)
            tell(done, len(self.inputs))
            yield predictions

    def _parts(self, start: int) -> Iterator[Predictions]:
        """The predictions from input `start` on, computed here or on a cluster."""
        if self.cluster:
            from residua.jobs.ray_predict import RayWork, predict_on_ray  # few need Ray

            work = RayWork(self.task, self.trained, self.device, self.inputs, self.options)
            return predict_on_ray(self.cluster, work, start=start)
        predictor = self.predict_with or self.predictor
        return self.task.predict(predictor, self.inputs, self.options, start=start)

    def all_predictions(
        self, *, tell: Callable[[int, int], None] = lambda _done, _total: None
    ) -> Predictions:
        """The predictions of all inputs; errors as in `predictions`."""
        first, *others = self.predictions(tell=tell)
        return first.joined(others)

    def progress(self) -> PredictionProgress:
        """The progress of a file that holds none of these predictions yet."""
        options = PredictOptions(self.options.topk, self.options.least, self.options.mirrored)
        return PredictionProgress(self.task.digest(self.predictor), to_json(options), self.inputs.identity())


def predict_into(
    out: Path,
    job: PredictJob,
    *,
    force: bool,
    begin: Callable[[PredictionFile], None] = lambda _: None,
    listen: Callable[[Predictions], None] = lambda _: None,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> PredictionProgress:
    """Write predictions to a file while they are made, from where an earlier call was interrupted.

    Args:
        out: A path that ends in .csv, .jsonl or .parquet.
        job: The network and its inputs.
        force: Begin anew.
        begin: Receives the file before the first prediction.
        listen: Receives the predictions of a few inputs at a time, once they are written.
        tell: Receives the number of inputs done, and their total.

    Returns:
        What was written, by earlier calls too.

    Raises:
        ConfigError: Something else was begun there.
        RunBusyError: Another process writes it.
        OSError: The file cannot be written.
        NonFiniteError: The network computes NaN or infinity.
    """
    with open_predictions(out, job.progress(), force=force) as file:
        begin(file)
        for predictions in job.predictions(start=file.progress.done, tell=tell):
            file.write(predictions)
            listen(predictions)
    return file.progress


def open_job(request: PredictRequest) -> PredictJob:
    """Load a network, and list what it is to predict.

    Raises:
        CheckpointError: There is no network, or it is damaged.
        ConfigError: An option has no effect on this network.
        DataError: There are no files.
    """
    trained = request.trained
    if not trained.exists():
        from residua.weights import named  # only names need it

        if not named.is_trained(str(trained)):
            problem = f"{trained} does not exist{near_path(trained)}"
            raise CheckpointError(f"{problem}: give a run, or one of its checkpoint files")
    task = tasks.predict_task_of([trained], request.user_options)
    inputs = list_inputs(request.inputs, media_type=task.media_type)
    predictor = task.load(trained, device=request.device)
    folders = ClassFolders(request.sort_into) if request.sort_into else None
    return PredictJob(
        task,
        predictor,
        inputs,
        request.options,
        trained,
        folders,
        device=request.device,
        cluster=request.cluster,
    )


def predict(
    trained: Path, files: Sequence[str | Path], options: PredictOptions | None = None, *, device: str = "auto"
) -> tuple[Predictions, str]:
    """Predict images or videos, all in memory.

    Args:
        trained: As in `PredictRequest`.
        files: As in `PredictRequest`.
        options: What is predicted of each; None for the likeliest class.
        device: As in `PredictRequest`.

    Returns:
        One prediction or error for each file, and what a file is called: `image` or `video`.

    Raises:
        ResiduaError: As in `open_job` and `PredictJob.predictions`.
    """
    texts = tuple(str(file) for file in files)
    job = open_job(PredictRequest(trained, texts, options or PredictOptions(), device=device))
    return job.all_predictions(), job.noun


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
