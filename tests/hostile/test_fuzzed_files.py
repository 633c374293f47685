"""A part of the fuzzer's files, with fixed seeds; `python benchmarks/fuzz.py` reads more of them."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # hundreds of files
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("seed", [1])
def test_random_and_damaged_files_are_read_or_refused(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from fuzz import Fuzzer

    counts = Fuzzer(seed, tmp_path).run(rows=2_000, seconds=None)
    assert counts.files > 50
    assert not counts.num_findings, "\n".join(counts.findings)


def test_the_fuzzer_detects_dropped_rows_and_crashing_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from fuzz import Fuzzer, Reader

    whole = Reader.read
    monkeypatch.setattr(Reader, "read", lambda *given: (whole(*given)[0][1:], False))
    assert Fuzzer(3, tmp_path).run(rows=500, seconds=None).changed

    def crash(*given: object) -> None:
        raise IndexError("a bug")

    monkeypatch.setattr(Reader, "read", crash)
    assert Fuzzer(3, tmp_path).run(rows=None, seconds=0.5).tracebacks
    assert "fuzz" in sys.modules
