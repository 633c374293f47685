"""The training loop: a generator of optimizer steps, with the only backward pass in bertune."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bertune.config import TrainConfig
from bertune.nn.batch import collate
from bertune.nn.device import Machine
from bertune.nn.memory import with_fewer_tokens
from bertune.nn.model import TextModel
from bertune.tasks import FittedTask
from bertune.text.batches import Indices, micro_batches, slices, step_examples
from bertune.text.sequences import Sequence
from bertune.training.encoded import EncodedSplit
from bertune.training.optim import Optimizer, learning_rate

# Groups of up to this many micro-batches run as one batch, because gradient caching computes each piece
# twice.
_WIDEST_GROUP = 4

Cut = Callable[[int], Iterator[Indices]]  # tokens of a micro-batch → sequence indices per micro-batch


@dataclass(frozen=True)
class Plan:
    """The number of steps, and the first one."""

    total: int
    warmup: int
    per_epoch: int
    start: int = 0  # steps already taken by a resumed run


@dataclass(frozen=True)
class Step:
    """A completed optimizer step."""

    number: int  # from 1
    epoch: float
    loss: float  # mean over the loss terms of the step
    lr: float
    grad_norm: float
    examples: int
    tokens: int  # maximum padded tokens of a micro-batch; lowered after an out-of-memory error
    seconds: float


@dataclass(frozen=True)
class TrainState:
    """The model, the fitted task, the training split and the machine."""

    model: TextModel
    fitted: FittedTask
    part: EncodedSplit
    machine: Machine


def train_steps(state: TrainState, optimizer: Optimizer, config: TrainConfig, plan: Plan) -> Iterator[Step]:
    """Yield optimizer steps until the plan is complete.

    The examples and the dropout of a step depend only on seed and step number, so a run that resumes at step
    k is identical to one that was not interrupted. The caller may evaluate, save or stop between steps.
    """
    by_example = _by_example(state.part)
    batches = step_examples(len(by_example), config.batch_size, config.seed, plan.start)
    fitted = state.fitted

    def of_step(step: int) -> list[Sequence]:
        chosen = [sequence for i in next(batches) for sequence in by_example[i]]
        return fitted.resample(chosen, np.random.default_rng([config.seed, step]))

    sequences = of_step(plan.start)
    tokens = state.machine.micro_batch_tokens
    state.model.train()  # once for all submodules, which may have been loaded in either mode
    for done in range(plan.start, plan.total):
        started = time.perf_counter()
        if not state.model.training:
            state.model.train()
        groups = [s.group for s in sequences] if fitted.keep_together == "group" else None
        cut = partial(micro_batches, [len(s) for s in sequences], groups=groups)
        compute = _accumulate_with_grad_cache if fitted.keep_together == "step" else _accumulate
        accumulate = partial(compute, state, optimizer, sequences, cut, _seed(config.seed, done))
        longest = max(len(s) for s in sequences)
        (loss, num_terms), tokens = with_fewer_tokens(accumulate, tokens, longest)
        lr = learning_rate(done, config.lr, plan.warmup, plan.total)
        norm = optimizer.step(lr, num_terms)
        num_examples = len({s.group for s in sequences})
        sequences = of_step(done + 1)  # for the next step, while a GPU still computes this one
        mean_loss, grad_norm = torch.stack([loss / num_terms, norm]).tolist()  # waits for the device
        yield Step(
            number=done + 1,
            epoch=round((done + 1) / plan.per_epoch, 6),
            loss=mean_loss,
            lr=lr,
            grad_norm=grad_norm,
            examples=num_examples,
            tokens=tokens,
            seconds=time.perf_counter() - started,
        )


def _accumulate(
    state: TrainState, optimizer: Optimizer, sequences: list[Sequence], cut: Cut, seed: int, tokens: int
) -> tuple[Tensor, Tensor]:
    """Accumulate the gradient of the summed loss of a step; returns the summed loss and its number of terms.

    The optimizer divides by the number of terms of the whole step, so the division into micro-batches does
    not matter.
    """
    torch.manual_seed(seed)
    optimizer.zero_gradients()
    num_pieces = 0
    loss_sum = torch.zeros((), device=state.machine.device)
    num_terms = torch.zeros((), device=state.machine.device)
    for positions in cut(tokens):
        chosen = [sequences[i] for i in positions]
        is_wide = len(chosen) > 1 and len(chosen) * len(chosen[0]) > _WIDEST_GROUP * tokens  # longest first
        if is_wide:
            pieces = [chosen[piece] for piece in slices([len(s) for s in chosen], tokens)]
            loss, count = _in_pieces(state, pieces, seed + num_pieces)
            num_pieces += len(pieces)
        else:
            batch = collate(chosen).to(state.machine.device)
            with state.machine.autocast():
                outputs = state.model(batch)
            loss, count = state.fitted.loss(outputs, batch)
            loss.backward()  # type: ignore[no-untyped-call]
        loss_sum += loss.detach()
        num_terms += count
    return loss_sum, num_terms


def _accumulate_with_grad_cache(
    state: TrainState, optimizer: Optimizer, sequences: list[Sequence], cut: Cut, seed: int, tokens: int
) -> tuple[Tensor, Tensor]:
    """Like `_accumulate`, for a loss over all outputs of the step."""
    cuts = list(cut(tokens))
    if len(cuts) == 1:
        return _accumulate(state, optimizer, sequences, cut, seed, tokens)
    optimizer.zero_gradients()
    return _in_pieces(state, [[sequences[i] for i in positions] for positions in cuts], seed)


def _in_pieces(state: TrainState, pieces: list[list[Sequence]], seed: int) -> tuple[Tensor, Tensor]:
    """The loss over all pieces and its number of terms; accumulates its gradient.

    Gradient caching (Gao et al. 2021): the outputs are computed without a graph. Then each piece is computed
    again with the same dropout to backpropagate the gradients of its outputs.
    """
    batches = [collate(piece) for piece in pieces]

    def outputs_of(number: int) -> Tensor:
        torch.manual_seed(seed + number)
        with state.machine.autocast():
            outputs: Tensor = state.model(batches[number].to(state.machine.device))
        return outputs

    with torch.no_grad():
        parts = [outputs_of(number) for number in range(len(batches))]
    whole = collate([sequence for piece in pieces for sequence in piece]).to(state.machine.device)
    outputs = torch.cat(parts).requires_grad_()
    loss, count = state.fitted.loss(outputs, whole)
    (gradients,) = torch.autograd.grad(loss, outputs)
    for number, gradient in enumerate(torch.split(gradients, [len(part) for part in parts])):
        outputs_of(number).backward(gradient)  # type: ignore[no-untyped-call]
    return loss.detach(), count


def _by_example(part: EncodedSplit) -> list[list[Sequence]]:
    by_example: list[list[Sequence]] = [[] for _ in part.examples]
    for sequence in part.sequences:
        by_example[sequence.group].append(sequence)
    return by_example


def _seed(seed: int, step: int) -> int:
    """A different dropout seed for every step of every seed (splitmix64 of both)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + 1) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) & 0x7FFFFFFFFFFFFFFF
