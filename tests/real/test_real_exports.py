"""Every task on real data: exported in fp32 and int8, gated, and run where torch cannot be imported."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fits
import pytest
from parts import articles, documents, items, lines, sentences, without_column
from real_slices import SLICES, Slice

import bertune as bt
from bertune.export.parity import differences
from bertune.files import read_jsonl, read_object
from bertune.run import open_run
from tiny import bertune, process
from without_torch import COMMAND

BY_NAME = {of.name: of for of in SLICES}
# One data set for each task, validated on up to 872 texts; fewer where they are long.
MEASURED = (
    Slice(
        "sst2", "sst2/train.tsv", "sst2/dev.tsv", lines(slice(0, 872), header=True), without_column(-1),
        ("data.quoting=false",), fits.label, examples=96, batch_size=16,
    ),
    replace(BY_NAME["goemotions"], cut=lines(slice(0, 400))),
    replace(BY_NAME["stsb"], cut=lines(slice(0, 400), header=True)),
    replace(BY_NAME["conll2003"], cut=sentences(300)),
    replace(BY_NAME["squad1"], cut=articles(slice(-8, None), 3)),
    replace(BY_NAME["dream"], cut=items(slice(0, 12))),
    replace(BY_NAME["wikiqa-pointwise"], cut=lines(slice(0, 300))),
    replace(BY_NAME["embeddings-stsb"], cut=lines(slice(0, 300), header=True), epochs=1),
    replace(BY_NAME["language_modelling"], cut=documents(8)),
)  # fmt: skip
MOST_DIFFERENT = 1e-4


@dataclass(frozen=True)
class Exported:
    """A run on real data, and the file that it was validated on. Read only."""

    run: Path
    held_out: Path
    reading: tuple[str, ...]


@pytest.fixture(scope="module", params=MEASURED, ids=lambda part: part.name)
def exported(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    of: Slice = request.param
    folder = tmp_path_factory.mktemp(of.name)
    held_out = of.cut(data / of.held_out, folder / "held-out")
    settings = (
        "model.name=minilm", "train.lr=3e-4", "train.warmup=0", f"train.max_examples={of.examples}",
        f"train.batch_size={of.batch_size}", f"train.epochs={of.epochs}", "machine.device=cpu",
        "machine.precision=fp32", "train.baselines=false", "train.explain=false",
        "data.calibration_fraction=0",
        *(setting.format(data=data) for setting in of.settings),
    )  # fmt: skip
    train = of.part(data / of.train, folder / "train")
    run = folder / "run"
    bertune("train", train, *settings, f"data.validation={held_out}", "--out", run).fine()
    bertune("export", run).fine()
    yield Exported(run, held_out, of.reading)
    shutil.rmtree(folder)  # storing all of them would take gigabytes


def test_the_export_gives_the_results_of_the_model(exported: Exported) -> None:
    parity = read_object(exported.run / "export" / "onnx" / "parity.json")
    assert parity["largest_difference"] < MOST_DIFFERENT
    assert parity["flips"] == 0
    assert parity["rows"] == open_run(exported.run).manifest["data"]["splits"]["validation"]["rows"]
    for name, value in open_run(exported.run).manifest["scores"]["validation"].items():
        found = parity["scores"][name]["export"]
        assert (found is None) == (value is None), name
        assert value is None or found == pytest.approx(value, rel=1e-4, abs=1e-4), name


def test_without_torch_the_predictions_are_the_same(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    export = exported.run / "export" / "onnx"
    command = ("evaluate", export, exported.held_out, *exported.reading, "--out", out)
    process(sys.executable, "-c", COMMAND, *command, cwd=tmp_path).fine()
    decision = bt.load(export).fitted.decision
    found, stored = list(read_jsonl(out)), list(open_run(exported.run).predictions("validation"))
    assert len(found) == len(stored)
    for one, other in zip(stored, found, strict=True):
        assert decision(_prediction(other)) == decision(_prediction(one)), one["source"]
        assert max(differences(_prediction(one), _prediction(other)), default=0.0) < MOST_DIFFERENT


def _prediction(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in ("id", "source", "text", "gold")}


def test_it_is_verified_without_torch(exported: Exported, tmp_path: Path) -> None:
    export = exported.run / "export" / "onnx"
    done = process(sys.executable, "-c", COMMAND, "verify", export, "--json", cwd=tmp_path)
    assert json.loads(done.fine().out)["flips"] == 0


def test_in_int8_it_is_within_the_limits_or_refused(exported: Exported) -> None:
    found = bertune("export", exported.run, "--to", "onnx-int8")
    export = exported.run / "export" / "onnx-int8"
    if found.code == 5:
        assert "(export." in found.err
        assert not export.exists()
        return
    found.fine()
    parity, tolerance = read_object(export / "parity.json"), read_object(export / "parity.json")["tolerance"]
    assert parity["flip_share"] <= tolerance["flips"]
    assert parity["score_loss"] <= tolerance["score_loss"]
    assert parity["size_mb"]["export"] < 0.75 * parity["size_mb"]["model"]
    assert bertune("verify", export).code == 0
