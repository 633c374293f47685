"""Fixture for trainings with frozen layers."""

import pytest
from frozen_models import Keep

import bertune.training.fit
import bertune.training.frozen
from bertune.training.frozen import compute_once


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Sets where later trainings store frozen outputs; "never" recomputes them at every step."""
    original = compute_once

    def choose(where: str) -> None:
        shares = {"memory": (0.25, 0.5), "disk": (0, 0.5), "nothing": (0, 0), "never": (0, 0)}[where]
        monkeypatch.setattr(bertune.training.frozen, "_SHARE_OF_MEMORY", shares[0])
        monkeypatch.setattr(bertune.training.frozen, "_SHARE_OF_DISK", shares[1])
        found = original if where != "never" else lambda *_: None
        monkeypatch.setattr(bertune.training.fit, "compute_once", found)

    return choose
