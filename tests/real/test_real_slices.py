"""Every task on slices of real data: training, resuming, evaluation, prediction and report."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fits
import numpy as np
import pytest
from interruption import StopAtStep
from page_reader import Page
from real_slices import SLICES, Slice

from bertune.config import TaskConfig
from bertune.files import read_jsonl
from bertune.reporting.wording import decimal
from bertune.run import Run, open_run
from bertune.tasks import make_task
from tiny import bertune
from trainings import Command, assert_nothing_half_written, assert_same_work, train

_FIRST = {of.fits: of for of in reversed(SLICES)}.values()  # one of each kind, resumed by the command
_OF_THE_ROW = {"id", "source", "text", "gold"}  # keys of stored predictions

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


@dataclass(frozen=True)
class Trained:
    """A slice with an uninterrupted run and an interrupted one. Read only."""

    of: Slice
    run: Run
    held_out: Path
    folder: Path  # for files that a test writes
    stopped: Path
    stopping: Command


@pytest.fixture(scope="module", params=SLICES, ids=lambda part: part.name)
def trained(
    request: pytest.FixtureRequest, data: Path, chinese: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trained]:
    of: Slice = request.param
    folder = tmp_path_factory.mktemp(of.name)
    held_out = of.cut(data / of.held_out, folder / "held-out")
    command = (
        "train",
        of.part(data / of.train, folder / "train"),
        *_settings(of, chinese),
        *(setting.format(data=data) for setting in of.settings),
        f"data.validation={held_out}",
    )
    stopped = folder / "stopped"
    before = StopAtStep(stopped, of.stop)
    stopping = Command(folder / "output", *command, "--out", stopped, before=before)
    try:
        bertune(*command, "--out", folder / "run").fine()
        yield Trained(of, open_run(folder / "run"), held_out, folder, stopped, stopping)
    finally:
        stopping.process.kill()
        stopping.process.join()
        shutil.rmtree(folder)  # storing a run of each would take gigabytes


def _settings(of: Slice, chinese: Path) -> tuple[str, ...]:
    encoder, lr = (chinese, 3e-3) if of.is_chinese else ("minilm", 3e-4)
    # With dropout, an encoder this small would learn nothing in a few steps.
    dropout = ("model.dropout=0",) if of.is_chinese else ()
    return (
        f"model.name={encoder}", f"train.lr={lr}", "train.warmup=0", f"train.max_examples={of.examples}",
        f"train.batch_size={of.batch_size}", f"train.epochs={of.epochs}", "machine.device=cpu",
        "machine.precision=fp32", "machine.threads=1", "train.explain=false", *dropout,
    )  # fmt: skip


def test_the_task_learns_from_the_first_examples_of_a_published_file(trained: Trained) -> None:
    of, manifest = trained.of, trained.run.manifest
    train = manifest["data"]["splits"]["train"]
    assert train["rows"] == of.examples
    assert bool(train["truncated"]) == of.truncates
    per_epoch = manifest["training"]["steps_per_epoch"]
    losses = [line["loss"] for line in trained.run.metrics()]
    assert len(losses) == per_epoch * of.epochs > of.stop
    assert np.mean(losses[-per_epoch:]) < np.mean(losses[:per_epoch])
    scores = trained.run.scores
    task = make_task(TaskConfig(name=manifest["task"]))
    assert set(task.scores) <= scores.keys()
    assert np.isfinite(scores[task.primary])
    score, least = of.least
    assert not score or scores[score] > least, scores


def test_evaluate_gives_the_scores_of_training(trained: Trained) -> None:
    said = bertune("evaluate", trained.run.path, trained.held_out, *trained.of.reading, "--json").fine()
    (found,) = said.json["scores"].values()
    assert found == pytest.approx(trained.run.scores, abs=1e-6, nan_ok=True)
    assert said.json["examples"] == trained.run.manifest["data"]["splits"]["validation"]["rows"]


def test_predictions_do_not_depend_on_gold_labels(trained: Trained) -> None:
    of, out = trained.of, trained.folder / "said.jsonl"
    bare = of.bare(trained.held_out, trained.folder / "bare")
    bertune("predict", trained.run.path, bare, *of.reading, "--out", out).fine()
    said, stored = list(read_jsonl(out)), list(trained.run.predictions("validation"))
    assert len(said) == len(stored)
    for line, kept in zip(said, stored, strict=True):
        of.fits(line)
        if of.says_the_same:
            _assert_same(line, {key: kept[key] for key in kept.keys() - _OF_THE_ROW})
        assert line.get("id", kept["id"]) == kept["id"]


def test_a_stopped_and_resumed_run_is_identical(trained: Trained) -> None:
    ended = trained.stopping.end()
    assert ended.code == 130, ended
    assert f"stopped after step {trained.of.stop} of" in " ".join(ended.stderr.split())
    assert open_run(trained.stopped).manifest["status"] == "interrupted"
    if trained.of in _FIRST:
        bertune("train", trained.stopped, "--resume").fine()
    else:
        train(trained.stopped, trained.stopped, {}, resume=True)
    assert_same_work(open_run(trained.stopped), trained.run)
    assert_nothing_half_written(trained.stopped)


def test_the_report_starts_with_the_primary_score(trained: Trained) -> None:
    report = trained.run.path / "report"
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    manifest = trained.run.manifest
    assert decimal(trained.run.scores[manifest["primary"]]) in page.text
    assert manifest["task"] in page.text
    for image in page.all("img"):
        source = str(image.attributes["src"])
        assert source.startswith("data:") or (report / source).stat().st_size


def test_task_specific_outputs_are_written(trained: Trained) -> None:
    also = _ALSO.get(trained.of.fits)
    if also is not None:
        also(trained)


def _texts_are_tagged_by_their_offsets(trained: Trained) -> None:
    texts = [line["text"][0] for line in trained.run.predictions("validation")]
    file = _texts_file(trained, texts)
    said = bertune("predict", trained.run.path, file).fine().lines
    assert [line["text"] for line in said] == texts
    for line in said:
        fits.spans_of_text(line)


def _vectors_are_written(trained: Trained) -> None:
    texts = [text for line in trained.run.predictions("validation") for text in line["text"]]
    file, out = _texts_file(trained, texts), trained.folder / "vectors.npy"
    bertune("predict", trained.run.path, file, "--out", out).fine()
    vectors_NH = np.load(out)
    assert vectors_NH.shape == (len(texts), 384)
    assert np.linalg.norm(vectors_NH, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    similar_N = (vectors_NH[::2] * vectors_NH[1::2]).sum(1)
    said = [line["similarities"][0] for line in trained.run.predictions("validation")]
    assert similar_N == pytest.approx(np.array(said), abs=1e-4)


def _rankings_are_written_for_trec(trained: Trained) -> None:
    rows = trained.run.manifest["data"]["splits"]["validation"]["rows"]
    for ending, columns in (("run", 6), ("qrels", 4)):
        lines = (trained.run.path / "predictions" / f"validation.{ending}").read_text().splitlines()
        assert len(lines) == rows
        assert {len(line.split()) for line in lines} == {columns}


def _no_answer_is_scored(trained: Trained) -> None:
    manifest = trained.run.manifest
    assert manifest["labels"] == ["answer", "no answer"]
    assert {"answer", "no answer"} == manifest["data"]["splits"]["validation"]["labels"].keys()
    for score in ("has_answer_f1", "no_answer_f1", "best_f1"):
        assert 0 <= trained.run.scores[score] <= 1
    assert trained.run.scores["best_f1"] >= trained.run.scores["f1"]


def _texts_file(trained: Trained, texts: list[str]) -> Path:
    file = trained.folder / "texts.jsonl"
    file.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts), encoding="utf-8")
    return file


_ALSO = {
    fits.spans: _texts_are_tagged_by_their_offsets,
    fits.likeness: _vectors_are_written,
    fits.relevance: _rankings_are_written_for_trec,
    fits.maybe_answer: _no_answer_is_scored,
}


def _assert_same(found: Any, expected: Any) -> None:
    """Asserts that all expected values are found, up to rounding."""
    if isinstance(expected, dict):
        assert expected.keys() <= found.keys()
        for key, value in expected.items():
            _assert_same(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _assert_same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-4)
    else:
        assert found == expected
