"""A cache of its own for tests that look for named data sets."""

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no data of the user's, and no proxy."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.delenv("BERTUNE_DATA", raising=False)
    monkeypatch.setenv("BERTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"
