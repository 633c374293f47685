"""The error analysis of a finished run: label errors, slices, and explanations of the worst errors."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from typing import Any

from bertune.errors import DataError
from bertune.files import to_json
from bertune.manifest.mistakes import MistakesRecord
from bertune.manifest.slices import SlicesRecord
from bertune.metrics.mistakes import Explains, Mistake, Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.vocabulary import restore_vocabulary
from bertune.predict.explaining import Explanation, PredictedExample, explain_example
from bertune.predict.torch_backend import TorchBackend
from bertune.run_writer import RunWriter
from bertune.tasks import FittedTask
from bertune.tasks.encoder import TextEncoder
from bertune.text.sequences import Sequence
from bertune.training.label_errors import (
    FOLDER,
    Originals,
    find_label_errors,
    record_of,
    write_corrections,
)
from bertune.training.loop import TrainState
from bertune.training.preparing import Prepared
from bertune.training.slicing import categories, slices_record

_MOST_EXPLAINED = 20  # errors, which a reader can look at
_LEAST_TOKENS = 10_000  # however short the training was: a few seconds on a CPU
# An explanation computes the outputs and gradients of a text about 30 times: see nn/attributions.py.
_PASSES = 30
_SHARE_OF_TRAINING = 0.03  # maximum cost of the explanations, as a share of the tokens trained on


def slices_of(prepared: Prepared, name: str, scores: Scores, fitted: FittedTask) -> SlicesRecord | None:
    """The scores of slices of a split, such as long texts, each compared with the rest."""
    divided, columns = prepared.divided, {}
    if divided is not None:
        table, rows = divided.rows[name]
        known = divided.tables
        columns = categories(known.others.get(table, {}), known.categories.get(table, {}), rows)
    tokenizer = prepared.encoder.tokenizer
    return slices_record(prepared.splits[name], scores, fitted, tokenizer, columns)


def write_label_errors(
    prepared: Prepared, name: str, fitted: FittedTask, predictions: SequenceOf[Any], writer: RunWriter
) -> None:
    """Write the likely label errors of a split, and a file in which to correct them."""
    divided = prepared.divided
    found = find_label_errors(fitted, predictions, prepared.splits[name].examples)
    if found is None or divided is None or divided.tables.source is None:
        return
    originals = Originals(divided.tables.source, divided.tables, *divided.rows[name])
    file = write_corrections(found, originals, writer.run.path / FOLDER, name)
    task, noun = prepared.config.task, fitted.task.noun
    record = record_of(found, f"{FOLDER}/{file}", prepared.columns, task, noun)
    writer.write_lines(f"{name}.label-errors.json", [to_json(record.to_json(), indent=None)])


def explained(
    mistakes: Mistakes,
    prepared: Prepared,
    name: str,
    state: TrainState,
    num_steps: int,
    poll: Callable[[], None],
) -> Mistakes:
    """The errors with explanations of the worst ones; unchanged if the task does not define what to explain.

    At most `_MOST_EXPLAINED` errors, and a small share of the time of `num_steps` training steps.
    """
    fitted, split, trained = state.fitted, prepared.splits[name], prepared.splits["train"]
    if not (prepared.config.train.explain and fitted.can_explain):
        return mistakes
    sequences: dict[int, list[Sequence]] = {}
    for sequence in split.sequences:
        sequences.setdefault(sequence.group, []).append(sequence)
    per_example = sum(map(len, trained.sequences)) / len(trained.examples)
    num_trained = num_steps * prepared.config.train.batch_size * per_example
    left = max(_LEAST_TOKENS, _SHARE_OF_TRAINING * num_trained)
    restore_vocabulary(state.model.encoder)  # the baseline needs the mask token
    encoder = TextEncoder(fitted, prepared.encoder.tokenizer, prepared.encoder.max_length)
    backend = TorchBackend(state.model, fitted, state.machine)
    shown = list(mistakes.shown)
    for number, item, wanted in _to_explain(mistakes, split.examples):
        at = wanted.example
        of_example = [replace(sequence, group=0) for sequence in sequences[at]]
        left -= _PASSES * sum(map(len, of_example))
        if left < 0:
            break
        predicted = PredictedExample(split.examples[at], of_example, backend(of_example, poll).outputs)
        try:
            found = explain_example(backend, encoder, predicted, wanted.target, poll)
        except DataError:  # a task of the user whose tokens have no offsets
            return mistakes
        if found is not None:
            shown[number] = _with(shown[number], item, _plain(found))
    return replace(mistakes, shown=tuple(shown))


def _to_explain(mistakes: Mistakes, examples: SequenceOf[Any]) -> Iterator[tuple[int, int | None, Explains]]:
    """The predictions to explain: position of the error, position of its item, and the prediction.

    Errors of single examples need not say which prediction they are about.
    """
    position = {}
    if mistakes.num == len(examples):
        position = {str(example.origin): at for at, example in enumerate(examples)}
    for number, one in enumerate(mistakes.shown[:_MOST_EXPLAINED]):
        of_items = [(at, item.explains) for at, item in enumerate(one.items) if item.explains is not None]
        if one.explains is not None:
            yield number, None, one.explains
        elif not of_items and one.source in position:
            yield number, None, Explains(position[one.source])
        yield from ((number, at, wanted) for at, wanted in of_items)


def _with(one: Mistake, item: int | None, explanation: Mapping[str, Any]) -> Mistake:
    """An error with the explanation of the prediction that it is about, or of one of its items."""
    if item is None:
        return replace(one, explanation=explanation)
    items = list(one.items)
    items[item] = replace(items[item], explanation=explanation)
    return replace(one, items=tuple(items))


def with_recorded_explanations(mistakes: Mistakes, recorded: SequenceOf[MistakesRecord]) -> Mistakes:
    """The errors of all folds, with the explanations that were recorded with the errors of each.

    Each fold explains its own errors, by the model that predicted them. Those of all folds together that are
    not among the worst of their fold have no explanation.
    """
    of_errors, of_items = {}, {}
    for one in (one for record in recorded for one in record.shown or ()):
        target = None if one.explains is None else one.explains.target
        if one.explanation is not None:
            of_errors[one.source, target] = one.explanation.to_json()
        for item in one.items or ():
            if item.explanation is not None:
                of_items[one.source, item.rank, item.text] = item.explanation.to_json()
    shown = []
    for wrong in mistakes.shown[:_MOST_EXPLAINED]:
        key = wrong.source, None if wrong.explains is None else wrong.explains.target
        items = (replace(i, explanation=of_items.get((wrong.source, i.rank, i.text))) for i in wrong.items)
        shown.append(replace(wrong, explanation=of_errors.get(key), items=tuple(items)))
    return replace(mistakes, shown=(*shown, *mistakes.shown[_MOST_EXPLAINED:]))


def _plain(found: Explanation) -> dict[str, Any]:
    """An explanation as plain JSON: see `bertune.manifest.mistakes.ExplanationRecord`."""
    words = [[word.text, word.start, word.end, round(word.contribution, 4)] for word in found.words]
    value, baseline = round(found.value, 4), round(found.baseline, 4)
    return {
        "target": found.target,
        "texts": list(found.texts),
        "words": words,
        "value": value,
        "baseline": baseline,
        "places": [[place.text, place.start, place.end] for place in found.places],
    }
