"""Find the parts of a graph that must stay in fp32, by measurement on validation rows."""

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bertune.errors import GateError, counted
from bertune.export.gate import Examples, Gate, refusal
from bertune.export.quantization import Quantizer, Unit
from bertune.predict.backend import Backend
from bertune.tasks import Output
from bertune.text.sequences import Sequence

Progress = Callable[[str], None]

# Tokens computed to measure all units: each is measured on this many, divided by the number of units, so that
# the time does not grow with the number of layers.
_TOKENS = 150_000
_MOST_KEPT = 0.5  # share of the weights of products; beyond that, int8 has little advantage


@dataclass(frozen=True)
class Trial:
    """The reference for int8 versions of a graph, on some validation rows and on all of them."""

    some: tuple[Examples, Gate]
    all: tuple[Examples, Gate]
    backend: Callable[[Path], Backend]  # of a graph

    def problems(self, graph: Path) -> list[str]:
        """The differences that exceed the tolerance on some rows; if there are none, those on all rows."""
        found: list[str] = []
        backend = self.backend(graph)
        for examples, gate in (self.some, self.all):
            results = examples.results(backend, gate.expected.primary)
            found = gate.problems(gate.comparison(results, examples.fitted, examples.places))
            if found or self.some[0].examples is self.all[0].examples:
                break
        return found


def quantize_within(
    quantizer: Quantizer, source: Path, target: Path, trial: Trial, on_progress: Progress
) -> list[Unit]:
    """Write an int8 version of `source` that is within the tolerance. Returns the units left in fp32.

    First everything is quantized. If that exceeds the tolerance, every unit is measured alone, and the most
    harmful ones are left in fp32: 1, 2, 4 … of them until the tolerance is met, then as few as possible.
    Raises GateError if that would leave more than half of the weights in fp32.
    """
    quantizer(target)
    wrong = trial.problems(target)
    if not wrong:
        return []
    on_progress(f"with everything in int8, {'; '.join(wrong)}")
    ranked = _ranked(quantizer, source, target, trial, on_progress)
    accepted, refused, number = 0, 0, 1
    while not accepted:
        kept = ranked[:number]
        if _share(kept, ranked) > _MOST_KEPT:
            raise GateError(
                f"{refusal('onnx-int8', wrong)}. Of {counted(len(ranked), 'part')} of the network, "
                f"{refused:,} were in fp32. Use --to onnx-fp16 or onnx, or raise the limit"
            )
        wrong = _attempt(quantizer, target, trial, kept, on_progress)
        accepted, refused = (0, len(kept)) if wrong else (len(kept), refused)
        number *= 2
    while accepted - refused > 1:
        middle = (accepted + refused) // 2
        if _attempt(quantizer, target, trial, ranked[:middle], on_progress):
            refused = middle
        else:
            accepted = middle
    kept = ranked[:accepted]
    quantizer(target, kept)
    return [unit for unit in quantizer.units if unit in kept]


def _attempt(
    quantizer: Quantizer, target: Path, trial: Trial, kept: list[Unit], on_progress: Progress
) -> list[str]:
    quantizer(target, kept)
    wrong = trial.problems(target)
    parts = counted(len(kept), "part")
    on_progress(f"with {parts} in fp32: {'; '.join(wrong) if wrong else 'within the limits'}")
    return wrong


def _ranked(
    quantizer: Quantizer, source: Path, target: Path, trial: Trial, on_progress: Progress
) -> list[Unit]:
    """The units, those first that change the outputs most when they alone are quantized."""
    units = quantizer.units
    sequences = _up_to(trial.some[0].sequences, _TOKENS // len(units))
    expected = trial.backend(source)(sequences).outputs
    damage = []
    for number, unit in enumerate(units, start=1):
        if number == 1 or number % 10 == 0:
            rows = counted(len(sequences), "sequence")
            on_progress(f"quantizing each part alone, on {rows}: {number} of {len(units)}")
        quantizer(target, [other for other in units if other is not unit])
        damage.append(_distance(expected, trial.backend(target)(sequences).outputs))
    order = np.argsort(-np.array(damage), kind="stable")
    return [units[i] for i in order]


def _up_to(sequences: SequenceOf[Sequence], tokens: int) -> list[Sequence]:
    """Evenly spaced sequences with about this many tokens in all, at least one."""
    total = sum(map(len, sequences))
    step = max(1.0, total / tokens)
    chosen = [sequences[int(i)] for i in np.arange(0, len(sequences), step)]
    return [replace(sequence, group=number) for number, sequence in enumerate(chosen)]


def _distance(expected: SequenceOf[Output], found: SequenceOf[Output]) -> float:
    """The mean square of the differences of outputs, relative to the variance of each output."""
    first_NC, second_NC = (np.concatenate([np.atleast_2d(o) for o in all]) for all in (expected, found))
    squares_C = np.square(first_NC - second_NC, dtype=np.float64).mean(0)
    return float((squares_C / np.maximum(first_NC.var(0, dtype=np.float64), 1e-12)).mean())


def _share(kept: list[Unit], units: list[Unit]) -> float:
    """The share of the weights of products that is left in fp32. Tables of embeddings are not multiplied."""
    kept_weights = sum(unit.weights for unit in kept if not unit.is_table)
    return kept_weights / max(1, sum(unit.weights for unit in units if not unit.is_table))
