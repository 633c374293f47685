"""The contestants on a tiny job: same texts on all sides, correct padding counts, same predictions."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bertune.bench.compare import train_briefly
from bertune.bench.job import Item, Job, write_items
from bertune.bench.peers import (
    bertune_predict,
    bertune_train,
    onnx_graph,
    onnx_runtime,
    pipeline,
    trainer,
)
from small_texts import labelled_texts

NUM, BATCH, LENGTH = 61, 4, 16


@pytest.fixture(scope="module")
def job(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Sixty-one short texts, three epochs, with every step timed."""
    folder = tmp_path_factory.mktemp("job")
    items: list[Item] = [((text,), label) for text, label in labelled_texts(NUM)]
    write_items(folder / "texts.jsonl", items)
    write_items(folder / "held_out.jsonl", items[:8])
    return Job(
        model=str(tiny_weights),
        texts=str(folder / "texts.jsonl"),
        held_out=str(folder / "held_out.jsonl"),
        num_texts=NUM,
        num_columns=1,
        labels=("bad", "good"),
        max_length=LENGTH,
        batch_size=BATCH,
        precision="fp32",
        is_whole=True,
        settings={"machine": {"device": "cpu"}},
    )


@pytest.mark.slow
def test_all_train_on_the_same_tokens_with_the_expected_padding(job: Job) -> None:
    ours = bertune_train.train(job, 1)
    ways = {way: trainer.train(job, way, 1) for way in ("tutorial", "documentation", "best")}
    for found in (ours, *ways.values()):
        assert found["steps"] == 3 * job.steps_per_epoch
        assert found["load"] == ours["load"]
        assert found["load"]["sequences"] == 3 * NUM
        assert found["trained_parameters"] == ours["trained_parameters"]
    padded = {way: found["padded_load"]["tokens"] for way, found in ways.items()}
    assert padded["tutorial"] == 3 * NUM * LENGTH
    assert ours["load"]["tokens"] < padded["best"] < padded["documentation"] < padded["tutorial"]
    assert ours["updated_parameters"] <= ours["trained_parameters"]


def test_a_frozen_encoder_is_frozen_on_both_sides(job: Job) -> None:
    frozen = replace(job, freeze="encoder", epochs=1)
    ours, theirs = bertune_train.train(frozen, 1), trainer.train(frozen, "best", 1)
    assert ours["trained_parameters"] == ours["updated_parameters"] == theirs["trained_parameters"]


def test_a_timed_run_stops_after_enough_steps(job: Job) -> None:
    found = bertune_train.train(replace(job, is_whole=False, seconds=0.0), 1)
    assert found["steps"] == job.period
    assert found["load"]["sequences"] == job.period * BATCH


def test_a_contestant_without_its_packages_says_how_to_install_them(job: Job, tmp_path: Path) -> None:
    job.write(tmp_path / "job.json")
    code = (
        "import sys; sys.modules['sentence_transformers'] = None\n"
        f"sys.argv = ['x', {str(tmp_path / 'job.json')!r}, '--precision', 'fp32']\n"
        "from bertune.bench.peers.cross_encoder import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip().endswith(
        "sentence_transformers. Install them with: pip install 'bertune[bench]'"
    )
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_onnx_runtime_and_pipeline_predict_the_same_as_bertune(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, because other tests run contestants as separate processes."""
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)

    def run(contestant: Any, *arguments: object) -> list[float]:
        """The probabilities that a contestant reports, if any."""
        monkeypatch.setattr(sys, "argv", ["contestant", *map(str, arguments)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries that are compared
            contestant.main()
        written = capsys.readouterr().out
        found: list[float] = json.loads(written.splitlines()[-1])["probabilities"] if written else []
        return found

    model = train_briefly(job, tmp_path, {"OMP_NUM_THREADS": "1"})
    path = tmp_path / "job.json"
    replace(job, model=str(model), seconds=0.0).write(path)
    run(onnx_graph, model, tmp_path)
    predicted = {
        "bertune": run(bertune_predict, path, "--precision", "fp32"),
        "pipeline": run(pipeline, path, "--batch", 1),
        "batches": run(pipeline, path, "--batch", 32),
        "fp32": run(onnx_runtime, path, "--graph", tmp_path / "model.onnx"),
        "int8": run(onnx_runtime, path, "--graph", tmp_path / "model-int8.onnx"),
    }
    reference = predicted.pop("bertune")
    assert len(reference) == NUM
    for name, probabilities in predicted.items():
        allowed = 0.05 if name == "int8" else 0.001
        assert probabilities == pytest.approx(reference, abs=allowed), name
