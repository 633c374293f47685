"""Trains the final model again on training and validation rows together (`train.refit`)."""

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertune.errors import ConfigError, Interrupted, counted
from bertune.files import shell_word
from bertune.manifest.training import RefitRecord
from bertune.nn.blocks import freeze
from bertune.nn.device import Machine
from bertune.nn.model import TextModel
from bertune.nn.vocabulary import restrict_vocabulary
from bertune.run_writer import REFIT, RunWriter
from bertune.saved_model import new_model
from bertune.text.batches import steps_per_epoch
from bertune.training.checkpoint import Checkpoints, Progress, load_model_tensors, model_tensors
from bertune.training.encoded import EncodedSplit, as_learned
from bertune.training.events import Event, Noted, Stepped, Warned
from bertune.training.loop import Plan, TrainState, train_steps
from bertune.training.optim import Optimizer
from bertune.training.preparing import Prepared
from bertune.training.session import Session, refuse_divergence
from bertune.training.signals import StopFlag


@dataclass(frozen=True)
class Refitted:
    """The result of a refit."""

    state: TrainState  # with the new model
    record: RefitRecord


def initial_model(prepared: Prepared, machine: Machine) -> TextModel:
    """The pretrained model with a new head; the same for every call with the same settings."""
    config = prepared.config
    torch.manual_seed(config.train.seed)  # for the new head, or all weights when training from scratch
    model = new_model(prepared.pretrained, config.model, prepared.encoder.fitted)
    freeze(model, config.train.freeze)
    return model.to(machine.device)


def restrict_to_texts(model: TextModel, prepared: Prepared) -> None:
    """Train only the embeddings of tokens that occur in the data, unless others may be drawn."""
    if not prepared.encoder.fitted.is_resampled:
        restrict_vocabulary(model, model.encoder, _token_ids(prepared))


def refuse_unlike_splits(prepared: Prepared) -> None:
    """Raise ConfigError if train.refit is set and the validation rows cannot be trained on.

    A task may train on pairs without scores and validate on pairs with scores.
    """
    if not prepared.config.train.refit:
        return
    kinds = [
        {(len(example.texts), example.gold is None) for example in prepared.splits[name].examples}
        for name in ("train", "validation")
    ]
    if prepared.encoder.fitted.task.predicts_single_texts and kinds[0] != kinds[1]:
        raise ConfigError(
            "train.refit=true trains on training and validation rows together, but these are of different "
            "kinds: their numbers of texts differ, or only one of them has scores. Remove train.refit, or "
            "use a validation split like the training data"
        )


def refit(
    session: Session, prepared: Prepared, writer: RunWriter, plan: Plan, stop: StopFlag
) -> Generator[Event, None, Refitted]:
    """Train a new model for as many steps as the best checkpoint had, on training and validation rows.

    The learning-rate schedule, the seed and the batch size are the same as in the first pass. An interrupted
    refit continues from its own checkpoint. Raises Interrupted, DivergedError, ResourceError.
    """
    config, last = prepared.config.train, session.progress.best_step
    part = _together(session.state.part, as_learned(session.validation, session.state.fitted))
    num_rows = sum(len(prepared.splits[name].examples) for name in ("train", "validation"))
    session.release_buffers()
    machine = session.state.machine
    model = initial_model(prepared, machine)
    restrict_to_texts(model, prepared)
    state = TrainState(model, session.state.fitted, part, machine)
    optimizer = Optimizer(state.model, config, prepared.config.optimizer)
    checkpoints = Checkpoints(writer.run.path / REFIT)
    found = checkpoints.latest_valid()
    yield from (Warned(text) for text in found.damage)
    progress = Progress(0, 0, 0, None, 0, 0.0, 0.0, 0)
    if found.checkpoint is not None:
        progress = found.checkpoint.progress
        load_model_tensors(state.model, found.checkpoint.model())
        optimizer.load_state(found.checkpoint.optimizer())
    per_epoch = steps_per_epoch(len(part.examples), config.batch_size)
    every = per_epoch if config.checkpoint_every == "epoch" else int(config.checkpoint_every)
    yield Noted(
        f"refit: training again for {counted(last, 'step')} on training and validation rows together"
        + (f", from step {progress.step:,} on" if progress.step else "")
    )
    schedule = replace(plan, per_epoch=per_epoch, start=progress.step)
    steps = train_steps(state, optimizer, config, schedule)
    started = time.perf_counter() - progress.train_seconds
    while progress.step < last:
        step = next(steps)
        refuse_divergence(step)
        progress = replace(
            progress,
            step=step.number,
            train_seconds=time.perf_counter() - started,
            examples_seen=progress.examples_seen + step.examples,
        )
        yield Stepped(step, last)
        if stop.is_set or (step.number % every == 0 and step.number < last):
            checkpoints.save(progress, model_tensors(state.model), optimizer.state())
        if stop.is_set:
            raise Interrupted(
                f"stopped after step {step.number:,} of {last:,} of the refit; everything is saved. Continue "
                f"with: bertune train {shell_word(writer.run.path)} --resume"
            )
    optimizer.reset()
    record = RefitRecord(steps=last, rows=num_rows, seconds=round(progress.train_seconds, 3))
    return Refitted(state, record)


def refit_note(record: RefitRecord) -> str:
    """The notes for the user on a model that was refitted."""
    note = (
        f"refit: the saved model was trained again for {counted(record.steps, 'step')} on all "
        f"{record.rows:,} training and validation rows. All scores and predictions of this run are from "
        "the first model, which was trained on the training rows only"
    )
    if record.is_decided:
        note += (
            ". The temperature and the decision rule belong to the saved model. They were fitted to its "
            "predictions for the calibration rows, which neither model was trained on. Measurements on other "
            "rows are of the first model, with a separate temperature and rule"
        )
    return note


def _together(train: EncodedSplit, validation: EncodedSplit) -> EncodedSplit:
    """Both splits as one training split."""
    first = len(train.examples)
    further = [replace(s, group=s.group + first) for s in validation.sequences]
    return EncodedSplit(train.source, [*train.examples, *validation.examples], [*train.sequences, *further])


def _token_ids(prepared: Prepared) -> NDArray[np.int32]:
    """The token ids that occur in any split."""
    splits: Any = prepared.splits.values()
    return np.unique(
        np.concatenate([np.unique(np.concatenate([s.ids for s in p.sequences])) for p in splits])
    )
