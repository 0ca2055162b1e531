"""Every network of ours for `torch.hub.load(PATH, NAME, source="local")`, with the words of `create_model`.

`torch.hub.load("residua", "iresnet50", source="local", num_classes=10)`; `weights=` is a file or a folder.
"""

import sys
from functools import partial, update_wrapper
from pathlib import Path

dependencies = ["torch", "numpy", "safetensors"]

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))  # an uninstalled copy; hub looks beside us

from residua.jobs.models import create_model, list_models  # noqa: E402 (the path comes first)

globals().update({name: update_wrapper(partial(create_model, name), create_model) for name in list_models()})
