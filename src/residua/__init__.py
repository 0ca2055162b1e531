"""residua: build, train, evaluate, explain and reproduce residual networks."""

import logging
from typing import TYPE_CHECKING, Any

from residua.version import __version__

if TYPE_CHECKING:
    from residua.jobs.demo import demo
    from residua.jobs.evaluate import evaluate
    from residua.jobs.load import load
    from residua.jobs.models import create_model, list_models
    from residua.jobs.python_training import resume, train
    from residua.jobs.trained_run import TrainedRun as Run
    from residua.predict.classifier import Classifier
    from residua.predict.folder import save
    from residua.predict.folder import save as save_pretrained
    from residua.predict.pretrained import from_hub, push_to_hub

    from_pretrained = Classifier.from_pretrained

__all__ = [
    "Classifier",
    "Run",
    "__version__",
    "create_model",
    "demo",
    "evaluate",
    "export",
    "from_hub",
    "from_pretrained",
    "list_models",
    "load",
    "push_to_hub",
    "resume",
    "save",
    "save_pretrained",
    "train",
]

_ROOMS = {
    "Classifier": "residua.predict.classifier:Classifier",
    "Run": "residua.jobs.trained_run:TrainedRun",
    "create_model": "residua.jobs.models:create_model",
    "demo": "residua.jobs.demo:demo",
    "evaluate": "residua.jobs.evaluate:evaluate",
    "export": "residua.jobs.export:export",
    "from_hub": "residua.predict.pretrained:from_hub",
    "from_pretrained": "residua.predict.classifier:Classifier.from_pretrained",
    "list_models": "residua.jobs.models:list_models",
    "load": "residua.jobs.load:load",
    "push_to_hub": "residua.predict.pretrained:push_to_hub",
    "resume": "residua.jobs.python_training:resume",
    "save": "residua.predict.folder:save",
    "save_pretrained": "residua.predict.folder:save",
    "train": "residua.jobs.python_training:train",
}
"""Public name -> where it is defined, as `module:name`."""

logging.getLogger("residua").addHandler(logging.NullHandler())  # a library prints nothing unasked


def __getattr__(name: str) -> Any:
    """The public name, imported when it is first asked for, so that `import residua` stays light.

    Raises:
        MissingPackageError: A package that it needs is not installed.
    """
    if name not in _ROOMS:
        raise AttributeError(f"module 'residua' has no attribute {name!r}")
    from pkgutil import resolve_name

    from residua.errors import missing_package

    try:
        return resolve_name(_ROOMS[name])
    except ImportError as error:
        raise missing_package(error) or error from None


def __dir__() -> list[str]:
    """The public names."""
    return __all__
