"""Video decoding needs PyAV: without it, the tests of this folder are skipped."""

import pytest

pytest.importorskip("av", reason="clips need PyAV: pip install 'residua[video]'")
