"""`bertune bench`: compares bertune with other libraries on a user's source."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bertune.bench import sides
from bertune.bench.environment import machine, versions
from bertune.bench.figures import agreement, contestant_figures, flagged, floor_figures, ratio_figures
from bertune.bench.floor import Load, Shape, shape_of, training_flops
from bertune.bench.job import TEXT_COLUMNS, Item, Job, plan_epochs, spread, write_items
from bertune.bench.peaks import calibration_flops
from bertune.bench.runner import Contestant, Round, run_one, run_rounds
from bertune.errors import BertuneError, ConfigError
from bertune.hugging_face import load_config
from bertune.nn.device import Machine, make_machine
from bertune.source import Source
from bertune.tasks.head_spec import HeadSpec
from bertune.training.preparing import Prepared, prepare

_RATE = "examples_per_second"
_MOST_TEXTS = 2000  # predicted in one pass: enough to amortize the start of a pass
_HELD_OUT = 32  # validation texts: training needs some, but they are not timed
# Share of the fp32 peak that a well-configured Trainer step reached in trials; only used to size the work.
_USUAL_SHARE = 0.5

OnProgress = Callable[[str], None]


def compare(
    source: Source, rounds: int, seconds: float, on_progress: OnProgress = lambda text: None
) -> dict[str, Any]:
    """Speed, memory and padding of bertune and its peers on a source, as JSON values.

    Trains and predicts on as many training texts as a measurement of `seconds` needs. Raises what `prepare`
    raises, ConfigError for a task that the peers do not support, and BertuneError if bertune itself fails.
    """
    prepared = prepare(source)
    _refuse_own_code(prepared)
    here = make_machine(prepared.config.machine)
    environment = {"OMP_NUM_THREADS": str(here.threads)}
    with tempfile.TemporaryDirectory(prefix="bertune-bench-") as folder:
        job = _job(prepared, here, seconds, Path(folder))
        shape = shape_of(load_config(prepared.pretrained.folder), len(job.labels))
        training = _training_sides(job, prepared, Path(folder))
        trained = run_rounds(training, rounds, environment, on_progress)
        _own_side(trained)
        prediction = _prediction_sides(job, prepared, Path(folder), environment)
        predicted = run_rounds(prediction, rounds, environment, on_progress)
        _own_side(predicted)
    shown = [c for c in training if c.key != sides.PEAKS]
    return {
        "machine": {**machine(), "device": here.device_name, "threads": here.threads},
        "versions": versions(),
        "settings": {"rounds": rounds, **job.facts()},
        "training": _section(trained, shown),
        "prediction": {
            **_section(predicted, prediction),
            "agreement": agreement(predicted, prediction, "pipeline_32"),
        },
        "floor": floor_figures(trained, job, shape, sides.OURS, sides.PEAKS),
        "flagged_rounds": {"training": flagged(trained), "prediction": flagged(predicted)},
    }


def _section(rounds: list[Round], contestants: list[Contestant]) -> dict[str, Any]:
    return {
        "contestants": {c.key: contestant_figures(rounds, c, _RATE) for c in contestants},
        "ratios": ratio_figures(rounds, contestants, sides.OURS, _RATE),
    }


def _refuse_own_code(prepared: Prepared) -> None:
    """Raises ConfigError for tasks and heads without a counterpart in the Trainer."""
    head = prepared.encoder.fitted.head
    is_plain = isinstance(head, HeadSpec) and head.problem_type == "single_label_classification"
    if not is_plain or prepared.config.model.head != "auto":
        raise ConfigError(
            f"task.name={prepared.config.task.name} model.head={prepared.config.model.head} cannot be "
            "compared. The comparison supports only single-label classification with model.head=auto, which "
            "the Trainer can train too"
        )


def _own_side(rounds: list[Round]) -> None:
    error = next((r.outcomes[sides.OURS].error for r in rounds if sides.OURS in r.outcomes), None)
    if error:
        raise BertuneError(f"bertune failed in the comparison: {error}")


def _job(prepared: Prepared, here: Machine, seconds: float, folder: Path) -> Job:
    """Writes the source as a job to a folder, with as many texts as the measurements need."""
    config, part = prepared.config, prepared.splits["train"]
    lengths = [len(s) for s in part.sequences]
    mean = Load.of([round(float(np.mean(lengths)))] * config.train.batch_size)
    shape = shape_of(load_config(prepared.pretrained.folder), len(prepared.encoder.fitted.labels))
    most = 4 * config.train.batch_size * _steps_in(seconds, mean, shape)
    items: list[Item] = [(e.texts, str(e.gold)) for e in part.examples]
    chosen = spread(items, most)
    write_items(folder / "texts.jsonl", chosen)
    write_items(folder / "held_out.jsonl", spread(items, _HELD_OUT))
    return Job(
        model=str(prepared.pretrained.folder.resolve()),
        texts=str(folder / "texts.jsonl"),
        held_out=str(folder / "held_out.jsonl"),
        num_texts=len(chosen),
        num_columns=len(items[0][0]),
        labels=prepared.encoder.fitted.labels,
        # Peers pad to this length: that of the longest text of the source, not the encoder's limit.
        max_length=max(len(s) for split in prepared.splits.values() for s in split.sequences),
        batch_size=config.train.batch_size,
        epochs=plan_epochs(len(chosen), config.train.batch_size),
        lr=config.train.lr,
        weight_decay=config.train.weight_decay,
        freeze=str(config.train.freeze),
        precision=here.precision,
        device=here.device.type,
        seconds=seconds,
        settings={
            "optimizer": config.optimizer.model_dump(),
            "machine": config.machine.model_dump(),
            "model": {"dropout": config.model.dropout},
        },
    )


def _steps_in(seconds: float, step: Load, shape: Shape | None) -> int:
    """Steps that a Trainer can run in about three times the given seconds, between 4 and 50."""
    if shape is None:
        return 8
    usual = training_flops(step, shape) / (_USUAL_SHARE * calibration_flops())
    return int(min(50, max(4, 3 * seconds / usual)))


def _training_sides(job: Job, prepared: Prepared, folder: Path) -> list[Contestant]:
    path = folder / "train.json"
    job.write(path)
    lengths = [len(s) for s in prepared.splits["train"].sequences]
    return [
        sides.bertune_training(path),
        sides.trainer(path, "best"),
        sides.trainer(path, "documentation"),
        sides.peaks(path, round(float(np.mean(lengths)) * job.batch_size)),
    ]


def _prediction_sides(
    job: Job, prepared: Prepared, folder: Path, environment: dict[str, str]
) -> list[Contestant]:
    """Contestants that predict with a model that bertune trained for a few steps."""
    path = folder / "predict.json"
    texts = spread(job.items(), _MOST_TEXTS)
    write_items(folder / "new.jsonl", texts)
    model = train_briefly(job, folder, environment)
    replace(job, model=str(model), texts=str(folder / "new.jsonl"), num_texts=len(texts)).write(path)
    return [sides.bertune_prediction(path), sides.pipeline(path, 32)]


def train_briefly(job: Job, folder: Path, environment: dict[str, str], examples: int | None = None) -> Path:
    """The model folder of a short `bertune train` run. Raises BertuneError if training fails."""
    write_items(folder / "few.jsonl", spread(job.items(), examples or 4 * job.batch_size))
    settings = [
        f"data.validation={job.held_out}",
        f"data.text={','.join(TEXT_COLUMNS[job.num_columns])}",
        "data.label=label",
        f"model.name={job.model}",
        f"model.max_length={job.max_length}",
        f"train.batch_size={job.batch_size}",
        "train.epochs=1",
    ]
    out = str(folder / "run")
    command = (sys.executable, "-m", "bertune", "train", str(folder / "few.jsonl"), *settings, "--out", out)
    outcome = run_one(Contestant("setup", "setup", command, reports=False), 1, environment)
    if outcome.error:
        raise BertuneError(f"training the model for the prediction benchmark failed: {outcome.error}")
    return folder / "run" / "model"
