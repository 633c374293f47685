"""A training session: evaluation, selection of the best weights, checkpoints and early stopping."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bertune.errors import BertuneError, DivergedError, Interrupted, NonFiniteError
from bertune.files import shell_word
from bertune.nn.device import give_back_freed_memory
from bertune.nn.threads import ThreadTuner
from bertune.nn.vocabulary import rebase_on_file
from bertune.run import CHECKPOINTS
from bertune.run_writer import RunWriter
from bertune.tasks import FittedTask
from bertune.training.checkpoint import (
    Checkpoint,
    Checkpoints,
    Progress,
    load_model_tensors,
    model_tensors,
)
from bertune.training.encoded import EncodedSplit
from bertune.training.evaluation import ScoredSplit, evaluate
from bertune.training.events import Evaluated, Event, Noted, Stepped, Warned
from bertune.training.loop import Plan, Step, TrainState, train_steps
from bertune.training.optim import Optimizer
from bertune.training.preparing import Prepared
from bertune.training.selection import Ranked, beats, best_metric, is_clearly_better, scores_without
from bertune.training.signals import StopFlag

FRESH = Progress(0, 0, 0, None, 0, 0.0, 0.0, 0)


class _StopEvaluation(BertuneError):
    """Raised between validation batches after a signal. The evaluation is repeated on resume."""


class Session:
    """Trains a prepared model from the first step, or from a checkpoint, to the last step."""

    def __init__(
        self, prepared: Prepared, state: TrainState, writer: RunWriter, plan: Plan, tuner: ThreadTuner
    ) -> None:
        self.progress = FRESH
        self.stopped_early = False
        self._is_decided = False  # whether predictions now differ from those of the last evaluation
        self._has_trained = False  # in this process; before a resume, the weights are only on disk
        self._config = prepared.config.train
        self.state = state
        self._validation = prepared.splits["validation"]
        self._writer = writer
        self._plan = plan
        self._tuner = tuner
        self._best: ScoredSplit | None = None  # the last evaluation, if it was the best
        self._score = best_metric(self._config.best_metric, state.fitted)
        self._optimizer = Optimizer(state.model, self._config, prepared.config.optimizer)
        self.checkpoints = Checkpoints(writer.run.path / CHECKPOINTS)

    @property
    def validation(self) -> EncodedSplit:
        """The validation split, with cached outputs of the frozen layers if there are any."""
        return self._validation

    @property
    def plan(self) -> Plan:
        """The planned steps."""
        return self._plan

    @property
    def holds_best(self) -> bool:
        """Whether the model in memory has the best weights, because the last step was the best one."""
        return self._has_trained and self.progress.best_step == self.progress.step

    def evaluation_of(self, split: EncodedSplit) -> ScoredSplit | None:
        """The evaluation of a split with the best weights, if it was the last one."""
        is_last = split is self._validation and self.holds_best
        return self._best if is_last and not self._is_decided else None

    @property
    def is_done(self) -> bool:
        """Whether all steps have been taken or early stopping applies."""
        return self.progress.step >= self._plan.total or self._is_out_of_patience()

    def use(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        """Continue with the same splits, with cached outputs of the frozen layers."""
        self.state, self._validation = replace(self.state, part=train), validation

    def decide(self, fitted: FittedTask) -> None:
        """Continue with a calibrated task, which changes the probabilities of all later predictions."""
        self._is_decided = fitted.calibration is not None or fitted.rule is not None
        self.state = replace(self.state, fitted=fitted)

    def restore(self, checkpoint: Checkpoint) -> bool:
        """Restore a checkpoint: weights, moments, counters and the lines of metrics.jsonl.

        Returns whether lines of metrics.jsonl had been lost or changed.
        """
        self.progress = checkpoint.progress
        was_damaged = self._writer.restore_metrics(checkpoint.metrics())
        if checkpoint.has_weights:
            load_model_tensors(self.state.model, checkpoint.model())
            self._optimizer.load_state(checkpoint.optimizer())
        return was_damaged

    def run(self, stop: StopFlag) -> Iterator[Event]:
        """Train to the end, yielding events. Raises Interrupted, DivergedError, ResourceError."""
        lines = self._writer.run.metrics()
        losses = [line["loss"] for line in lines if line["step"] > self.progress.evaluated_step]
        if (
            lines
            and self._is_due(self._config.evaluate_every)
            and self.progress.evaluated_step < self.progress.step
        ):
            # A signal interrupted the evaluation of this step: write its line again, with the evaluation.
            self._writer.drop_metrics_after(self.progress.step - 1)
            yield from self._complete(lines[-1], losses, stop)
        steps = train_steps(
            self.state, self._optimizer, self._config, replace(self._plan, start=self.progress.step)
        )
        while not self.is_done:
            step = next(steps)
            self._has_trained = True
            refuse_divergence(step)
            self._count(step)
            if step.tokens < self.state.machine.micro_batch_tokens:
                yield self._note_fewer_tokens(step.tokens)
            if self._tuner.check():
                yield self._note_threads()
            losses.append(step.loss)
            yield Stepped(step, self._plan.total)
            yield from self._complete(_metrics_line(step), losses, stop)
        self.stopped_early = self.progress.step < self._plan.total
        # From here on only the best weights are needed. This checkpoint marks that no step is left.
        self.checkpoints.save(self.progress, {}, {})
        self._optimizer.reset()
        self.release_buffers()

    def _complete(self, line: dict[str, Any], losses: list[float], stop: StopFlag) -> Iterator[Event]:
        """Complete a step: evaluate, write its line to metrics.jsonl, save a checkpoint, or stop."""
        if self._is_due(self._config.evaluate_every) and not stop.is_set:
            result = self._evaluate(losses, stop)
            if result is not None:
                line["validation"], warnings = result
                losses.clear()
                yield Evaluated({"step": line["step"], "epoch": line["epoch"], **line["validation"]})
                yield from (Warned(text) for text in warnings)
        self._writer.append_metrics(line)
        if stop.is_set or (self._is_due(self._config.checkpoint_every) and not self.is_done):
            self.checkpoints.save(self.progress, model_tensors(self.state.model), self._optimizer.state())
        if stop.is_set:
            raise Interrupted(self._how_to_resume())

    def _evaluate(self, losses: list[float], stop: StopFlag) -> tuple[dict[str, Any], list[str]] | None:
        """Evaluate on the validation split and save the weights if they are the best; None if stopped."""

        def poll() -> None:
            if stop.is_set:
                raise _StopEvaluation

        started = time.perf_counter()
        self.release_buffers()
        try:
            evaluation = evaluate(self.state, self._validation, poll)
        except _StopEvaluation:
            return None
        except NonFiniteError as error:
            what = f"the model's outputs became NaN or infinite at step {self.progress.step:,}"
            raise _diverged(what) from error
        values = evaluation.values
        is_best = self._update_best(self._ranked(evaluation))
        self._best = evaluation if is_best else None
        seconds = time.perf_counter() - started
        self.progress = replace(self.progress, evaluate_seconds=self.progress.evaluate_seconds + seconds)
        validation = {
            **values,
            "train_loss": sum(losses) / max(1, len(losses)),
            "seconds": round(seconds, 3),
            "is_best": is_best,
        }
        return validation, list(evaluation.warnings)

    def _ranked(self, evaluation: ScoredSplit) -> Ranked:
        without: tuple[float | None, ...] = ()
        if self._config.best_margin:
            without = scores_without(
                self.state.fitted,
                evaluation.outcome.predictions,
                self._validation.examples,
                self._score,
                self._validation.groups,
            )
        return Ranked(self.progress.step, evaluation.values[self._score], without)

    def _update_best(self, found: Ranked) -> bool:
        """Record an evaluation. If it is the best, save the weights and return True."""
        step, top = self.progress.step, self.progress.top
        is_top = beats(found.value, None if top is None else top.value, self._score)
        is_best = is_top or not is_clearly_better(top or found, found, self._score, self._config.best_margin)
        if is_best:
            if step == self._plan.total:
                self._optimizer.reset()  # no further step needs its moments
            self.release_buffers()  # writing expands the compact vocabulary
            self.checkpoints.save_best(step, model_tensors(self.state.model))
            rebase_on_file(self.state.model, self.checkpoints.load_best(step))
            self.progress = replace(self.progress, best_step=step, best_value=found.value)
        count = 0 if is_top else self.progress.evaluations_without_gain + 1
        self.progress = replace(
            self.progress, evaluations_without_gain=count, top=found if is_top else self.progress.top
        )
        self.progress = replace(self.progress, evaluated_step=step)
        return is_best

    def release_buffers(self) -> None:
        """Free buffers that the next step or prediction recreates."""
        self._optimizer.zero_gradients()
        if self.state.model.packed is not None:
            self.state.model.packed.reset()
        give_back_freed_memory()

    def _note_fewer_tokens(self, tokens: int) -> Warned:
        machine = replace(self.state.machine, micro_batch_tokens=tokens)
        self.state = replace(self.state, machine=machine)
        recorded = self._writer.run.manifest["machine"]
        self._writer.update_manifest(machine=recorded | {"tokens": tokens})
        return Warned(
            f"out of memory: continuing with micro-batches of at most {tokens:,} tokens (optimizer steps are "
            f"unchanged). Set machine.micro_batch_tokens={tokens} to start that way"
        )

    def _note_threads(self) -> Noted:
        threads, step = self._tuner.threads, self.progress.step
        machine = self._writer.run.manifest["machine"]
        history = machine.get("threads_by_step") or f"{machine['threads']} from step 1"
        changed = {"threads": threads, "threads_by_step": f"{history}, {threads} from step {step + 1}"}
        self._writer.update_manifest(machine=machine | changed)
        self.state = replace(self.state, machine=replace(self.state.machine, threads=threads))
        why = "other processes use cores" if threads < self._tuner.most else "the cores are free again"
        return Noted(f"{why}: using {threads} of {self._tuner.most} threads from step {step + 1:,} on")

    def _count(self, step: Step) -> None:
        self.progress = replace(
            self.progress,
            step=step.number,
            train_seconds=self.progress.train_seconds + step.seconds,
            examples_seen=self.progress.examples_seen + step.examples,
        )

    def _is_due(self, every: int | str) -> bool:
        interval = self._plan.per_epoch if every == "epoch" else int(every)
        return self.progress.step % interval == 0 or self.progress.step == self._plan.total

    def _is_out_of_patience(self) -> bool:
        patience = self._config.patience
        return bool(patience) and self.progress.evaluations_without_gain >= patience

    def _how_to_resume(self) -> str:
        path = shell_word(self._writer.run.path)
        return (
            f"stopped after step {self.progress.step:,} of {self._plan.total:,}; everything is saved. "
            f"Continue with: bertune train {path} --resume"
        )


def refuse_divergence(step: Step) -> None:
    """Raise DivergedError if the loss or the gradient of a step is not finite."""
    if not (math.isfinite(step.loss) and math.isfinite(step.grad_norm)):
        norm = f"gradient norm {step.grad_norm}"
        raise _diverged(f"the training loss became {step.loss} ({norm}) at step {step.number:,}")


def _diverged(what: str) -> DivergedError:
    return DivergedError(
        f"{what}. Usual remedies: a lower train.lr (2e-5), more train.warmup, machine.precision=fp32, "
        "optimizer.max_grad_norm=1.0. Start a new run with another --out: --resume accepts only "
        "changes to [machine]"
    )


def _metrics_line(step: Step) -> dict[str, Any]:
    return {
        "step": step.number,
        "epoch": step.epoch,
        "loss": step.loss,
        "lr": step.lr,
        "grad_norm": step.grad_norm,
        "seconds": round(step.seconds, 4),
    }
