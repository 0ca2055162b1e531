"""TrainedRun, public as `residua.Run`: a run directory with its curves and its predictor."""

from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any

from residua.errors import ResiduaError
from residua.jobs.load import load
from residua.predict.predictor import Predictor
from residua.predict.run_summary import data_name, epochs_text, last_measure, network_name
from residua.report.run_figure import RunFigure, run_figure
from residua.runs.run import Run
from residua.spec.printable import printable


@dataclass(frozen=True, slots=True, init=False, repr=False)
class TrainedRun(Run):
    """A run directory: `residua.Run("runs/photos-1")`, and what `residua.train` returns.

    `runs.run.Run`, the class below, reads the files of a run and imports nothing of reports and predictors;
    this one adds them and changes nothing (docs/adr/0021-python-that-speaks.md).
    """

    def plot(self, *metrics: str) -> RunFigure:
        """The curves of the run by epoch, as a drawing.

        Args:
            metrics: Columns of `metrics`, e.g. `"train_loss", "test_loss"`. By default training and test
                error, or the mean average precision of a detector.

        Returns:
            A drawing that notebooks show; `save("curves.svg")` writes it.

        Raises:
            ConfigError: A metric does not exist.
            CheckpointError: The run has finished no epoch.
        """
        return run_figure(self, *metrics)

    def predictor(
        self, *, weights: str = "auto", device: str = "auto", precision: str = "float32"
    ) -> Predictor[Any, Any]:
        """The trained network of the run, for images, clips or boxes, as `residua.load` gives it.

        Args:
            weights: `raw`, `ema` or `best`; `auto` is `ema` where the run averages weights, else `raw`.
            device: `cpu`, `cuda`, `mps`, or `auto` for the first accelerator, else the CPU.
            precision: `float32`, `bfloat16`, or `auto` for what the run's plan measured on the same kind of
                device.

        Returns:
            A Classifier, or the predictor of the run's task.

        Raises:
            CheckpointError: There is no training state, or a byte of it changed since it was written.
            ConfigError: The device, the precision or the name of the weights cannot be used.
        """
        return load(self.path, weights=weights, device=device, precision=precision)

    def __repr__(self) -> str:
        plain = ("network", "trained")
        facts = (text if name in plain else f"{name} {text}" for name, text in self._facts()[1:])
        return f"Run({', '.join([repr(str(self.path)), *facts])})"

    def _repr_html_(self) -> str:
        """Facts and curves for notebooks."""
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(printable(text))}</td></tr>"
            for name, text in self._facts()
        )
        figure = ""
        with suppress(ResiduaError):
            figure = self.plot()._repr_html_()
        return f"<table>{rows}</table>{figure}"

    def _facts(self) -> list[tuple[str, str]]:
        """Name and text of what is known; of a damaged run only its path."""
        facts = [("run", str(self.path))]
        with suppress(ResiduaError, OSError):
            recipe = self.recipe
            facts.append(("network", f"{network_name(recipe)} on {data_name(recipe)}"))
            facts.append(("trained", epochs_text(self, recipe)))
            if measure := last_measure(self):
                facts.append(measure)
        return facts
