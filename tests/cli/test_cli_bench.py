"""`bertune bench`: a comparison in real processes, its table, its JSON, and its errors."""

import copy
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from bertune.cli.bench import tables
from tiny import BIN, Result, bertune, contents, process, reviews, write_csv

QUICK = ("--rounds", "1", "--seconds", "0.1", "train.batch_size=8", "machine.threads=1", "machine.device=cpu")


@dataclass(frozen=True)
class Benched:
    """The output of `bertune bench`."""

    said: Result


@pytest.fixture(scope="module")
def benched(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Benched:
    """A comparison by `bertune bench --json` on real texts in a separate process. Read only."""
    pytest.importorskip("accelerate")
    if not os.environ.get("BERTUNE_DATA"):
        pytest.skip("BERTUNE_DATA names no folder with the real data sets")
    folder = tmp_path_factory.mktemp("benched")
    texts = Path(os.environ["BERTUNE_DATA"], "cola", "in_domain_train.tsv").read_text(encoding="utf-8")
    (folder / "cola.tsv").write_text("\n".join(texts.splitlines()[:61]) + "\n", encoding="utf-8")
    before = contents(folder)
    columns = ("data.header=false", "data.text=3", "data.label=1")
    said = process(BIN, "bench", "cola.tsv", *columns, f"model.name={encoder}", *QUICK, "--json", cwd=folder)
    assert contents(folder) == before
    return Benched(said.fine())


@pytest.fixture
def source(here: Path) -> Path:
    write_csv(here / "reviews.csv", reviews(61))
    return here


def test_every_side_is_measured(benched: Benched) -> None:
    found = benched.said.json
    training, prediction = found["training"], found["prediction"]
    assert list(training["contestants"]) == ["bertune", "best", "documentation"]
    assert list(prediction["contestants"]) == ["bertune", "pipeline_32"]
    for side in (*training["contestants"].values(), *prediction["contestants"].values()):
        assert side["examples_per_second"]["median"] > 0, side
        assert side["process_peak_rss_mb"] > 10
    assert set(training["ratios"]) == {"best", "documentation"}
    assert 0 <= training["contestants"]["best"]["padding_waste"] < 1
    assert prediction["agreement"]["bertune"]["agrees"]
    assert 0 < found["floor"]["updated"]["median"] <= found["floor"]["all"]["median"]
    assert found["settings"]["num_texts"] <= 61 and found["settings"]["rounds"] == 1
    assert "round 1: bertune:" in benched.said.err


def test_the_table_lists_every_side_and_the_floor(benched: Benched) -> None:
    written = io.StringIO()
    tables(Console(file=written, width=200), benched.said.json)
    for word in ("training", "prediction", "texts/s", "HF Trainer, best", "pipeline, batch 32", "floor"):
        assert word in written.getvalue()


def test_a_side_that_failed_is_in_the_table(benched: Benched) -> None:
    found = copy.deepcopy(benched.said.json)
    found["training"]["contestants"]["best"] = {"title": "HF Trainer, best", "error": "exit code 1: boom"}
    del found["training"]["ratios"]["best"]
    written = io.StringIO()
    tables(Console(file=written, width=200), found)
    assert "failed" in written.getvalue() and "boom" in written.getvalue()


@pytest.mark.parametrize("arguments", [["nothing.csv"], ["reviews.csv", "data.text=body"], ["colaa"]])
def test_an_invalid_source_is_refused_like_in_train(
    arguments: list[str], source: Path, encoder: Path
) -> None:
    given = [*arguments, f"model.name={encoder}"]
    trained, benched = bertune("train", *given), bertune("bench", *given)
    assert benched.code == trained.code == 3
    assert benched.err == trained.err
    assert benched.out == ""


def test_a_head_without_a_trainer_counterpart_is_refused(source: Path, encoder: Path) -> None:
    said = bertune("bench", "reviews.csv", f"model.name={encoder}", "model.head=first_token")
    assert said.code == 3
    assert "model.head=first_token" in said.err and "only" in said.err


def test_without_the_extra_the_error_names_it(
    source: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)  # so that importing it fails
    said = bertune("bench", "reviews.csv", f"model.name={encoder}")
    assert said.code == 1
    assert said.err == (
        "error: accelerate is needed to compare bertune with other libraries, but is not installed. "
        "Install it with: pip install 'bertune[bench]'\n"
    )
