"""What serves a model: its name, its backend, and how large its batches are."""

import shutil
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bertune.errors import ConfigError, InputError
from bertune.metrics.calibration import Calibration
from bertune.metrics.decisions import DecisionRule
from bertune.predict.backend import BackendOutputs, Poll, Runtime, never_stop
from bertune.serve.measuring import Speed, measure
from bertune.serve.metrics import Metrics
from bertune.serve.opening import Candidate, faster, open_models
from bertune.serve.openmp import limit_spinning
from bertune.serve.parallel import ComputeThreads
from bertune.serve.schedule import Costs
from bertune.serve.sources import Source, exports_of, named_sources, split_arguments, weights_sha256
from bertune.settings import resolve
from bertune.text.sequences import Sequence


def candidate(precision: str, rate: float) -> Candidate:
    runtime = Runtime("any", precision, True, 4096)
    model: Any = SimpleNamespace(backend=SimpleNamespace(runtime=runtime))
    return Candidate("any", None, model, 1, Speed(Costs(rate, 0, True), 256, 20, 0.01, rate / 20))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("fp32", 100), ("fp32", 101), "fp32 101"),
        (("fp32", 100), ("int8", 105), "fp32 100"),  # not enough faster for other results
        (("int8", 115), ("fp32", 100), "int8 115"),
        (("int8", 120), ("bf16", 110), "bf16 110"),
        (("bf16", 90), ("fp32", 100), "fp32 100"),
        (("int4", 150), ("int8", 100), "int4 150"),
    ],
)
def test_lower_precision_is_used_only_where_it_is_clearly_faster(
    first: tuple[str, float], second: tuple[str, float], expected: str
) -> None:
    found = faster(candidate(*first), candidate(*second))
    assert f"{found.model.backend.runtime.precision} {found.speed.costs.tokens_per_second:g}" == expected


class Timed:
    """A backend on a clock of its own: a call takes `call` seconds, and `token` seconds per token."""

    def __init__(self, call: float, token: float) -> None:
        self.call, self.token = call, token
        self.now = 0.0

    @property
    def runtime(self) -> Runtime:
        return Runtime("timed", "fp32", True, 4096)

    def __call__(self, sequences: SequenceOf[Sequence], poll: Poll = never_stop) -> BackendOutputs:
        self.now += self.call + self.token * sum(map(len, sequences))
        return BackendOutputs([np.zeros(1, np.float32)] * len(sequences))

    def measured(self, seconds: float, calls: int = 1) -> Speed:
        samples = [Sequence(np.zeros(n, np.int32), np.zeros(n, np.uint8), 0) for n in (30, 32, 40)]
        return measure(self, samples, 4096, seconds, calls, clock=lambda: self.now)


def test_batches_are_as_large_as_the_backend_needs_and_no_larger() -> None:
    flat, steep = Timed(0.0, 1e-5).measured(2), Timed(0.02, 1e-5).measured(2)
    assert (flat.batch_tokens, steep.batch_tokens) == (256, 4096)
    assert (flat.sample_tokens, steep.sample_tokens) == (32, 32)
    assert flat.costs.tokens_per_second == pytest.approx(1e5)
    assert flat.costs.call_tokens == 30  # 0.3 ms for handling the batch
    assert steep.costs.call_tokens > 1000  # a call takes as long as 2,000 tokens


def test_the_rate_is_that_of_all_batches_at_the_same_time() -> None:
    """On this clock, two calls take twice as long as one, as on a single core."""
    one, two = (Timed(0.0, 1e-5).measured(2, calls) for calls in (1, 2))
    assert two.costs.tokens_per_second == pytest.approx(one.costs.tokens_per_second)
    assert two.single_seconds == one.single_seconds


def test_slow_backends_are_not_measured_for_long() -> None:
    slow = Timed(0.2, 0.001)
    assert slow.measured(0.1).batch_tokens == 256
    assert slow.now < 1.5


def test_settings_are_told_from_names() -> None:
    models, settings = split_arguments(
        [
            "runs/a",
            "serve.timeout=5",
            "b=runs/b",
            "c.d=e",
            "x=y.z/w",
            "minilm",
            "machine.threads=1",
            "./s.t=3",
        ]
    )
    assert models == ["runs/a", "b=runs/b", "x=y.z/w", "minilm", "./s.t=3"]
    assert settings == ["serve.timeout=5", "c.d=e", "machine.threads=1"]


def test_names_come_from_folders_and_are_unique(tmp_path: Path) -> None:
    for folder in ("one/a", "two/a", "one/a/export/onnx", "one/a/model", "ein Name"):
        (tmp_path / folder).mkdir(parents=True)
    places = [tmp_path / p for p in ("one/a", "two/a", "one/a/export/onnx", "one/a/model", "ein Name")]
    names = [s.name for s in named_sources([*map(str, places), "org/minilm", f"chosen={tmp_path / 'one/a'}"])]
    assert names == ["a", "a-2", "a-onnx", "a-3", "ein-Name", "minilm", "chosen"]
    with pytest.raises(ConfigError, match="cannot be the name of a model"):
        named_sources(["?=x"])


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("cross-validation.json", "is a cross-validation, which has a model for each fold"),
        ("tuning.json", "search"),
    ],
)
def test_a_folder_of_several_runs_is_no_model(tmp_path: Path, file: str, expected: str) -> None:
    (tmp_path / file).write_text("{}", encoding="utf-8")
    config = resolve({})
    with pytest.raises(InputError, match=expected):
        open_models([Source("a", str(tmp_path))], config, {}, Metrics(), ComputeThreads())


def test_exports_of_other_weights_or_rules_and_damaged_ones_are_not_used(
    reviews_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    shutil.copy(reviews_run / "model" / "bertune.json", run / "model" / "bertune.json")
    for name in ("damaged", "without-parity", "other"):
        folder = run / "export" / name
        folder.mkdir(parents=True)
        (folder / "bertune.json").write_text("{")
        if name != "without-parity":
            (folder / "parity.json").write_text("{}")
    write_export(run / "export" / "other", weights="0" * 64)
    weights = weights_sha256(run / "model")
    write_export(run / "export" / "good", weights)
    write_export(run / "export" / "calibrated", weights, calibration=Calibration((2.0,)))
    write_export(run / "export" / "decided", weights, decision=DecisionRule({"": 0.9}))
    assert [folder.name for folder in exports_of(run)] == ["good"]


def write_export(folder: Path, weights: str, **more: Any) -> None:
    """The metadata of an export without its graph."""
    from bertune.config import TaskConfig
    from bertune.data.columns import Columns
    from bertune.metadata import ExportMetadata, ModelMetadata, write_metadata

    folder.mkdir(exist_ok=True)
    (folder / "bertune.json").unlink(missing_ok=True)
    (folder / "parity.json").write_text("{}")
    export = ExportMetadata(
        format="onnx", graph="onnx/model.onnx", auto_class="AutoModelForSequenceClassification",
        outputs=("logits",), pooling=None, vocab_size=10, pad_id=0, weights_sha256=weights,
    )  # fmt: skip
    columns = Columns(("text",), "label", None)
    metadata = ModelMetadata(TaskConfig(), ("a", "b"), 64, columns, {}, export=export, **more)
    write_metadata(folder, metadata)


def test_spinning_is_limited_unless_the_user_has_chosen() -> None:
    chosen: list[dict[str, str]] = [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}]
    for environment in chosen:
        limit_spinning(environment)
    assert chosen == [
        {"GOMP_SPINCOUNT": "20000"}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"},
    ]  # fmt: skip
