"""A complete training run, from a source or prepared data to a run folder, as a generator of events."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bertune import gates
from bertune.config import Config
from bertune.cores import available_cores
from bertune.data.memory import MEMORY
from bertune.errors import BertuneError, ConfigError, Interrupted, ResourceError
from bertune.files import shell_word, shown_path
from bertune.manifest import ManifestRecord, check_finished
from bertune.manifest.data import SplitRecord
from bertune.metadata import read_metadata
from bertune.nn.device import Machine, deterministic, make_machine
from bertune.nn.memory import memory_errors
from bertune.nn.threads import ThreadTuner
from bertune.run import MANIFEST, METRICS, Run, open_run, verify
from bertune.run_writer import FROZEN, RunWriter, refuse_existing
from bertune.settings import changed_settings
from bertune.source import Source
from bertune.text.batches import steps_per_epoch
from bertune.training.events import DataReady, Event, Finished, Noted, Started, Warned
from bertune.training.finish import finish
from bertune.training.frozen import compute_once
from bertune.training.loop import Plan, TrainState
from bertune.training.manifest import first_manifest
from bertune.training.optim import total_steps, warmup_steps
from bertune.training.preparing import Prepared, prepare
from bertune.training.refitting import initial_model, refuse_unlike_splits, restrict_to_texts
from bertune.training.session import Session
from bertune.training.signals import StopFlag, stop_on_signals

_FREE = ("machine", "gate", "track")  # sections that may change when a run is resumed


def train_source(source: Source, out: Path, resume: bool = False) -> Iterator[Event]:
    """Prepare a source and train into the run folder `out`, yielding events. The last one is Finished.

    All input errors are raised before anything is written. Raises InputError,
    RunExistsError, RunBusyError, Interrupted, DivergedError, ResourceError.
    """
    started = time.perf_counter()
    if is_complete(out, resume):
        yield from complete_run(out, source.config)
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
    """Train on prepared data into the run folder `out`, yielding events. The last one is Finished.

    `name` (default: the folder name) and `given` are recorded as name and source of the run. `started` is the
    start of the total time (`time.perf_counter`). Raises the same errors as `train_source`.
    """
    started = time.perf_counter() if started is None else started
    if is_complete(out, resume):
        yield from complete_run(out, prepared.config)
        return
    is_resumed = _is_resumable(out, resume)
    if resume and not is_resumed:
        yield Warned(f"no run to resume in {shown_path(out)}: starting a new one")
    refuse_unlike_splits(prepared)
    with memory_errors():  # a GPU that other processes have filled refuses even the model
        machine = make_machine(prepared.config.machine)
        if is_resumed and prepared.config.machine.micro_batch_tokens == "auto":
            machine = replace(machine, micro_batch_tokens=open_run(out).manifest["machine"]["tokens"])
        tuner = ThreadTuner(*_threads(prepared.config, machine))
        model = initial_model(prepared, machine)
    plan = _plan(prepared)
    manifest = first_manifest(name or out.name, given, prepared, model, machine, plan)
    if is_resumed:
        refuse_other_work(open_run(out), prepared, manifest)
        writer = RunWriter(out)
    else:
        writer = RunWriter.create(out, prepared.config, manifest)
    restrict_to_texts(model, prepared)
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
    if stop.is_set:  # too late to stop anything in this run
        raise Interrupted(
            "stopped when the run was complete, before its report was written. Continue with: bertune train "
            f"{shell_word(out)} --resume"
        )
    yield Finished(writer.run)


def _is_resumable(out: Path, resume: bool) -> bool:
    """Whether there is a run to resume."""
    return resume and (out / MANIFEST).exists()


def is_complete(out: Path, resume: bool) -> bool:
    """Whether there is a complete run to resume. Raises RunExistsError if `out` exists without `resume`."""
    if not _is_resumable(out, resume):
        refuse_existing(out)
        return False
    return bool(open_run(out).manifest["status"] == "complete")


def complete_run(out: Path, config: Config) -> Iterator[Event]:
    """Resume a run that is already complete: verify it, compare it with other gates, and train nothing."""
    _refuse_changes(Run(out), changed_settings(Run(out).config, config, _FREE))
    with RunWriter(out) as writer:
        verify(writer.run)
        check_finished(writer.run.manifest, out / MANIFEST)
        read_metadata(writer.run.model_path)
        writer.clear_working_files()  # left by a process that was killed while removing them
        given = gates.of_complete(config.gate.limits, writer.run.manifest)
        if given is not None:
            writer.update_manifest(gates=[gate.to_json() for gate in given])
        yield Finished(writer.run)


def _threads(config: Config, machine: Machine) -> tuple[int, bool]:
    """The maximum threads, and whether fewer may be used: not if set by the user or with a GPU."""
    is_free = config.machine.threads == "auto" and machine.device.type == "cpu"
    return (min(machine.threads, available_cores()) if is_free else machine.threads), is_free


def _plan(prepared: Prepared) -> Plan:
    config = prepared.config.train
    per_epoch = steps_per_epoch(len(prepared.splits["train"].examples), config.batch_size)
    total = total_steps(config, per_epoch)
    return Plan(total=total, warmup=warmup_steps(config, total), per_epoch=per_epoch)


def refuse_other_work(run: Run, prepared: Prepared, manifest: ManifestRecord) -> None:
    """Raise ConfigError if settings or data of a resumed run have changed."""
    changed = changed_settings(run.config, prepared.config, _FREE)
    before = _splits(run.record)
    for split, now in _splits(manifest).items():
        if before.get(split, SplitRecord()).sha256 != now.sha256:
            changed.append(f"the {split} data ({shown_path(now.source or '')}) has changed since")
    _refuse_changes(run, changed)


def _splits(manifest: ManifestRecord) -> Mapping[str, SplitRecord]:
    return (manifest.data and manifest.data.splits) or {}


def _refuse_changes(run: Run, changed: list[str]) -> None:
    if changed:
        raise ConfigError(
            f"{shown_path(run.path)} cannot be resumed with other settings or data: {'; '.join(changed)}. "
            "Use the same ones, or start a new run with another --out"
        )


def _restore(session: Session, writer: RunWriter) -> Iterator[Event]:
    """Restore the newest intact checkpoint, with warnings about damaged files."""
    found = session.checkpoints.latest_valid()
    yield from (Warned(problem) for problem in found.damage)
    if found.checkpoint is None:
        writer.restore_metrics(b"")
        if found.damage:
            yield Warned("no intact checkpoint is left: training restarts from the first step")
        return
    if session.restore(found.checkpoint):
        yield Warned(f"{METRICS} had missing or damaged lines and was restored from the checkpoint")
    if found.damage:
        yield Warned(f"training continues from the checkpoint of step {session.progress.step:,}")


def _cache_frozen_outputs(
    session: Session, prepared: Prepared, writer: RunWriter, stop: StopFlag
) -> Iterator[Event]:
    """Compute the outputs of the frozen layers once, if that saves time."""

    def poll() -> None:
        if stop.is_set:
            raise Interrupted(
                "stopped while computing the outputs of the frozen layers; no training steps were lost. "
                f"Continue with: bertune train {shell_word(writer.run.path)} --resume"
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
            f"the outputs of the frozen layers need {megabytes:,.0f} MB, more than the available memory and "
            "disk space: they are computed again at every step"
        )
    else:
        place = {"memory": "in memory", "disk": "on disk"}[found.kept_in]
        yield Noted(
            f"the outputs of the frozen layers were computed once: {megabytes:,.1f} MB, stored {place}"
        )
    session.use(found.splits["train"], found.splits["validation"])


def _record_failure(error: BertuneError, session: Session, writer: RunWriter) -> None:
    """Record the status of a resumable run in its manifest, and remove a run without checkpoints."""
    if isinstance(error, ResourceError):
        if session.checkpoints.latest_valid().checkpoint is None:
            writer.discard()
    else:
        writer.update_manifest(status="interrupted" if isinstance(error, Interrupted) else "failed")
