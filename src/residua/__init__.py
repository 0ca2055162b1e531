"""residua: build, train, evaluate, explain and reproduce residual networks."""

from typing import TYPE_CHECKING, Any

from residua.version import __version__

if TYPE_CHECKING:
    from residua.jobs.demo import demo
    from residua.jobs.evaluate import evaluate
    from residua.jobs.models import create_model, list_models
    from residua.jobs.train import resume, train
    from residua.predict.classifier import Classifier, load
    from residua.predict.folder import save
    from residua.predict.hub import from_hub, push_to_hub
    from residua.runs.run import Run

__all__ = [
    "Classifier",
    "Run",
    "__version__",
    "create_model",
    "demo",
    "evaluate",
    "from_hub",
    "list_models",
    "load",
    "push_to_hub",
    "resume",
    "save",
    "train",
]

_ROOMS = {
    "Classifier": "residua.predict.classifier",
    "Run": "residua.runs.run",
    "create_model": "residua.jobs.models",
    "demo": "residua.jobs.demo",
    "evaluate": "residua.jobs.evaluate",
    "from_hub": "residua.predict.hub",
    "list_models": "residua.jobs.models",
    "load": "residua.predict.classifier",
    "push_to_hub": "residua.predict.hub",
    "resume": "residua.jobs.train",
    "save": "residua.predict.folder",
    "train": "residua.jobs.train",
}


def __getattr__(name: str) -> Any:
    """The public name, imported when it is first asked for, so that `import residua` stays light.

    Raises:
        MissingPackageError: A package that it needs is not installed.
    """
    if name not in _ROOMS:
        raise AttributeError(f"module 'residua' has no attribute {name!r}")
    from importlib import import_module

    from residua.errors import missing_package

    try:
        return getattr(import_module(_ROOMS[name]), name)
    except ImportError as error:
        raise missing_package(error) or error from None


def __dir__() -> list[str]:
    """The public names."""
    return __all__
