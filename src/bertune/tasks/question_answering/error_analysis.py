"""Error analysis: questions with the worst answers, with predicted and gold spans marked in the context."""

from collections.abc import Sequence
from typing import Any

from bertune.metrics import answers
from bertune.metrics.mistakes import Fact, Mark, Mistake, Mistakes, Passage, mistake, worst

_NONE = "no answer"


def wrong_answers(predictions: Sequence[Any], examples: Sequence[Any], may_withhold: bool) -> Mistakes:
    """Questions without an exact match; `may_withhold` if the model can predict "no answer"."""
    gold = [[answer["text"] for answer in example.gold or ()] for example in examples]
    rule = answers.has_no_spaces(gold)
    pairs = [(texts, p.answer or "", rule) for texts, p in zip(gold, predictions, strict=True)]
    f1 = [answers.f1(*pair) for pair in pairs]
    badness = [
        None if answers.exact_match(*pair) else (-pair_f1, prediction.score)
        for pair, pair_f1, prediction in zip(pairs, f1, predictions, strict=True)
    ]
    return Mistakes(
        title="Worst answers",
        unit="question",
        num=len(pairs),
        num_wrong=sum(bad is not None for bad in badness),
        what="were answered incorrectly",
        order="Lowest F1 first, ties by confidence",
        measure="F1 {}",
        shown=tuple(_shown(predictions[at], examples[at], f1[at], may_withhold) for at in worst(badness)),
    )


def _shown(prediction: Any, example: Any, f1: float, may_withhold: bool) -> Mistake:
    gold = example.gold or ()
    facts = [
        Fact("predicted", prediction.answer or _NONE, "wrong", prediction.score),
        Fact("gold", " | ".join(dict.fromkeys(answer["text"] for answer in gold)) or _NONE, "right"),
    ]
    if may_withhold:
        facts.append(Fact("no-answer score", f"{prediction.no_answer_score:.2f}"))
    marks = {
        Mark(answer["answer_start"], answer["answer_start"] + len(answer["text"]), "missed")
        for answer in gold
        if answer["answer_start"] >= 0
    }
    if prediction.answer is not None:
        marks.add(Mark(prediction.start, prediction.end, "wrong"))
    question, context = example.texts
    ordered = tuple(sorted(marks, key=lambda mark: (mark.start, mark.end, mark.role)))
    return mistake(example, f1, facts, [Passage(question, "question"), Passage(context, "context", ordered)])
