"""A fixed part of the attacks in `benchmarks/attack.py`: killed training runs and damaged files."""

import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the attack reads /proc"),
]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SEED = 2026


@pytest.fixture(autouse=True)
def _benchmarks_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_runs_killed_at_random_moments_end_like_the_undisturbed_run(tmp_path: Path) -> None:
    from attack_kills import Kills

    kills = Kills(tmp_path / "kills", SEED, ("best between checkpoints",))
    for number in range(3):
        kills.one(number)
    assert kills.failures == []
    assert kills.counts["kills, first"] >= 2


def test_a_damaged_file_is_restored_or_refused_by_name(tmp_path: Path) -> None:
    from attack_damage import Damage

    damage = Damage(tmp_path / "damage", SEED, ("best at checkpoints",))
    for number in range(3):
        damage.unfinished(number)
    damage.finished(3)
    assert damage.failures == []
    assert damage.verdicts["identical"] + damage.verdicts["refused"] == 4
