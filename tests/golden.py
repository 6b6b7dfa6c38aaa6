"""Where the recorded numbers lie: in the folder ONE_PEACE_GOLDEN, else in ``../shared/golden/public``."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "golden" / "public"


def golden_path(*parts: str) -> Path:
    """A file or folder of the golden set; skips the calling test where it is absent."""
    path = Path(os.environ.get("ONE_PEACE_GOLDEN") or _DEFAULT, *parts)
    if not path.exists():
        pytest.skip(f"no golden data at {path} (set ONE_PEACE_GOLDEN to a folder of it)")
    return path
