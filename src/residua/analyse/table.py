"""All studies by name: the one place that lists them. Importing it loads no torch.

`residua analyse --what`, its help and its errors are made from this table, and so is the table of
docs/how-to/analyses.md: a test holds them equal.

To add a study, write `analyse/<name>.py` and add its row here. The file has four parts:

* a frozen dataclass for what is measured of one network, and a public function that measures it;
* `draw`, which turns the results of several networks into figures;
* `summarise`, which puts them in a sentence with numbers;
* `STUDY = Study(...)`, which joins these with the name, the source, what the study needs, and a paragraph on
  how to read the figures.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from residua.errors import ConfigError
from residua.spec.record import nearest

if TYPE_CHECKING:
    from residua.analyse.study import Study

STUDIES: Mapping[str, str] = {
    "responses": "residua.analyse.responses",
    "gradients": "residua.analyse.gradients",
    "identity": "residua.analyse.identity",
    "lesion": "residua.analyse.lesion",
    "paths": "residua.analyse.paths",
    "activations": "residua.analyse.activations",
    "landscape": "residua.analyse.landscape",
    "cam": "residua.analyse.cam",
    "occlusion": "residua.analyse.occlusion",
    "features": "residua.analyse.features",
    "field": "residua.analyse.field",
}
"""Name on the command line, and the module with its `STUDY`, in the order of a page."""


def find_study(name: str) -> "Study[Any]":
    """The study called `name`.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in STUDIES:
        raise ConfigError(f"no study {name!r}: {nearest(name, STUDIES)}")
    study: Study[Any] = import_module(STUDIES[name]).STUDY
    return study
