"""A whole training, from a source or prepared data to a complete run folder, as a generator of events."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bertune.config import Config
from bertune.data.memory import MEMORY
from bertune.errors import BertuneError, ConfigError, Interrupted, ResourceError
from bertune.files import shell_word
from bertune.manifest import ManifestRecord, SplitRecord, check_finished
from bertune.metadata import read_metadata
from bertune.nn.blocks import freeze
from bertune.nn.device import Machine, deterministic, make_machine
from bertune.nn.memory import memory_errors
from bertune.nn.model import TextModel
from bertune.nn.threads import ThreadTuner, available_cores
from bertune.nn.vocabulary import restrict_vocabulary
from bertune.run import MANIFEST, METRICS, Run, open_run, verify
from bertune.run_writer import FROZEN, RunWriter, refuse_existing
from bertune.saved_model import new_model
from bertune.source import Source
from bertune.text.batches import steps_per_epoch
from bertune.training.events import DataReady, Event, Finished, Noted, Started, Warned
from bertune.training.finish import finish
from bertune.training.frozen import compute_once
from bertune.training.loop import Plan, TrainState
from bertune.training.manifest import first_manifest
from bertune.training.optim import total_steps, warmup_steps
from bertune.training.preparing import Prepared, prepare
from bertune.training.session import Session
from bertune.training.signals import StopFlag, stop_on_signals


def train_source(source: Source, out: Path, resume: bool = False) -> Iterator[Event]:
    """Prepares a source and trains it into the run folder `out`, yielding events; the last one is Finished.

    All that can be wrong with the input is found before anything is written. Raises InputError,
    RunExistsError, RunBusyError, Interrupted, DivergedError, ResourceError.
    """
    started = time.perf_counter()
    if _is_complete(out, resume):
        yield from _complete_run(out, source.config)
        return
    prepared = prepare(source)
    yield DataReady(prepared)
    yield from fit(prepared, out, resume, name=source.name, given=source.given, started=started)


def fit(
    prepared: Prepared,
    out: Path,
    resume: bool = False,
    *,
    name: str | None = None,
    given: str = MEMORY,
    started: float | None = None,
) -> Iterator[Event]:
    """Trains what was prepared into the run folder `out`, yielding events; the last one is Finished.

    `name` and `given` are recorded as the name of the run, else that of its folder, and as its source;
    `started` is when its total time began (`time.perf_counter`). Raises as `train_source` does.
    """
    started = time.perf_counter() if started is None else started
    if _is_complete(out, resume):
        yield from _complete_run(out, prepared.config)
        return
    is_resumed = _is_there(out, resume)
    if resume and not is_resumed:
        yield Warned(f"there is no run in {out} to resume: starting from the beginning")
    machine = make_machine(prepared.config.machine)
    if is_resumed and prepared.config.machine.micro_batch_tokens == "auto":
        machine = replace(machine, micro_batch_tokens=open_run(out).manifest["machine"]["tokens"])
    tuner = ThreadTuner(*_threads(prepared.config, machine))
    model = _new_model(prepared, machine)
    plan = _plan(prepared)
    manifest = first_manifest(name or out.name, given, prepared, model, machine, plan)
    if is_resumed:
        _refuse_other_work(open_run(out), prepared, manifest)
        writer = RunWriter(out)
    else:
        writer = RunWriter.create(out, prepared.config, manifest)
    if not prepared.encoder.fitted.is_resampled:  # else words may come that stand in no text
        restrict_vocabulary(model, model.encoder, _words(prepared))
    with writer, deterministic(machine.device), tuner, stop_on_signals() as stop:
        machine = replace(machine, threads=tuner.threads)
        state = TrainState(model, prepared.encoder.fitted, prepared.splits["train"], machine)
        session = Session(prepared, state, writer, plan, tuner)
        try:
            chosen = {**(manifest.machine or {}), "threads": machine.threads}
            if chosen != manifest.machine:
                manifest = manifest.model_copy(update={"machine": chosen})
                writer.update_manifest(machine=chosen)
            yield from _restore(session, writer)
            yield Started(writer.run, manifest.to_json(), session.progress.step)
            with memory_errors():
                if plan.total >= plan.per_epoch and not session.is_done:
                    yield from _cache_frozen_outputs(session, prepared, writer, stop)
                yield from session.run(stop)
                yield from finish(session, prepared, writer, stop, started)
        except BertuneError as error:
            _record_failure(error, session, writer)
            raise


def _is_there(out: Path, resume: bool) -> bool:
    """Whether there is a run to go on with."""
    return resume and (out / MANIFEST).exists()


def _is_complete(out: Path, resume: bool) -> bool:
    """Whether there is a complete run to resume. Raises RunExistsError where there is another."""
    if not _is_there(out, resume):
        refuse_existing(out)
        return False
    return bool(open_run(out).manifest["status"] == "complete")


def _complete_run(out: Path, config: Config) -> Iterator[Event]:
    """A run that is resumed when it is complete already: it is verified, and nothing is trained."""
    _refuse_changes(Run(out), _changed_settings(Run(out), config))
    with RunWriter(out) as writer:
        verify(writer.run)
        check_finished(writer.run.manifest, out / MANIFEST)
        read_metadata(writer.run.model_path)
        writer.clear_working_files()  # of a process that was killed while it removed them
        yield Finished(writer.run)


def _threads(config: Config, machine: Machine) -> tuple[int, bool]:
    """The most threads, and whether fewer may be used: not where the user chose, or a GPU computes."""
    is_free = config.machine.threads == "auto" and machine.device.type == "cpu"
    return (min(machine.threads, available_cores()) if is_free else machine.threads), is_free


def _new_model(prepared: Prepared, machine: Machine) -> TextModel:
    config = prepared.config
    torch.manual_seed(config.train.seed)  # decides the fresh head, and everything where no weights are given
    model = new_model(prepared.pretrained, config.model, prepared.encoder.fitted)
    freeze(model, config.train.freeze)
    return model.to(machine.device)


def _words(prepared: Prepared) -> NDArray[np.int32]:
    """The token ids that occur in any split."""
    splits = prepared.splits.values()
    return np.unique(
        np.concatenate([np.unique(np.concatenate([s.ids for s in p.sequences])) for p in splits])
    )


def _plan(prepared: Prepared) -> Plan:
    config = prepared.config.train
    per_epoch = steps_per_epoch(len(prepared.splits["train"].examples), config.batch_size)
    total = total_steps(config, per_epoch)
    return Plan(total=total, warmup=warmup_steps(config, total), per_epoch=per_epoch)


def _refuse_other_work(run: Run, prepared: Prepared, manifest: ManifestRecord) -> None:
    """Raises ConfigError when a resumed run would go on with other settings or other data."""
    changed = _changed_settings(run, prepared.config)
    before = _splits(run.record)
    for split, now in _splits(manifest).items():
        if before.get(split, SplitRecord()).sha256 != now.sha256:
            changed.append(f"the {split} data ({now.source}) has changed since")
    _refuse_changes(run, changed)


def _splits(manifest: ManifestRecord) -> Mapping[str, SplitRecord]:
    return (manifest.data and manifest.data.splits) or {}


def _changed_settings(run: Run, config: Config) -> list[str]:
    before, now = run.config.to_settings(), config.to_settings()
    return [
        f"{section}.{key} was {before.get(section, {}).get(key)!r} and is {now[section].get(key)!r}"
        for section in now
        if section != "machine"
        for key in sorted({*before.get(section, {}), *now[section]})
        if before.get(section, {}).get(key) != now[section].get(key)
    ]


def _refuse_changes(run: Run, changed: list[str]) -> None:
    if changed:
        raise ConfigError(
            f"{run.path} cannot be resumed with other settings or data: {'; '.join(changed)}. "
            "Give the same ones, or start a new run with another --out"
        )


def _restore(session: Session, writer: RunWriter) -> Iterator[Event]:
    """Goes back to the newest intact checkpoint, and says what was lost where files are damaged."""
    found = session.checkpoints.latest_valid()
    yield from (Warned(problem) for problem in found.damage)
    if found.checkpoint is None:
        writer.restore_metrics(b"")
        if found.damage:
            yield Warned("no intact checkpoint is left: training starts again from the first step")
        return
    if session.restore(found.checkpoint):
        yield Warned(f"{METRICS} had missing or damaged lines and was restored from the checkpoint")
    if found.damage:
        yield Warned(f"training continues from the checkpoint of step {session.progress.step:,}")


def _cache_frozen_outputs(
    session: Session, prepared: Prepared, writer: RunWriter, stop: StopFlag
) -> Iterator[Event]:
    """Computes once what the frozen part of the model makes of the texts, where that pays."""

    def poll() -> None:
        if stop.is_set:
            raise Interrupted(
                "stopped while computing the frozen part; nothing of the training is lost. "
                f"Go on with: bertune train {shell_word(writer.run.path)} --resume"
            )

    state = session.state
    if state.fitted.is_resampled:
        return
    splits = {name: prepared.splits[name] for name in ("train", "validation")}
    found = compute_once(state.model, splits, state.machine, writer.run.path / FROZEN, poll)
    if found is None:
        return
    megabytes = found.num_bytes / 2**20
    if found.kept_in == "nothing":
        yield Warned(
            f"what the frozen part makes of the texts would take {megabytes:,.0f} MB, more than memory and "
            "disk can spare: it is computed again at every step"
        )
    else:
        yield Noted(f"the frozen part was computed once: {megabytes:,.1f} MB, kept in {found.kept_in}")
    session.use(found.splits["train"], found.splits["validation"])


def _record_failure(error: BertuneError, session: Session, writer: RunWriter) -> None:
    """A run that can go on says so in its manifest; one with nothing in it is removed."""
    if isinstance(error, ResourceError):
        if session.checkpoints.latest_valid().checkpoint is None:
            writer.discard()
    else:
        writer.update_manifest(status="interrupted" if isinstance(error, Interrupted) else "failed")
