"""Error analysis: the questions with the worst answers, with predicted and gold answers marked in context."""

from collections.abc import Sequence
from typing import Any

from bertune.metrics import answers
from bertune.metrics.mistakes import Fact, Mark, Mistake, Mistakes, Passage, mistake, worst

_NONE = "no answer"


def wrong_answers(predictions: Sequence[Any], examples: Sequence[Any], may_withhold: bool) -> Mistakes:
    """Questions not answered as in any gold answer; `may_withhold` where a model may give none."""
    gold = [[answer["text"] for answer in example.gold or ()] for example in examples]
    rule = answers.has_no_spaces(gold)
    pairs = [(own, p.answer or "", rule) for own, p in zip(gold, predictions, strict=True)]
    f1 = [answers.f1(*pair) for pair in pairs]
    badness = [
        None if answers.exact_match(*pair) else (-own, prediction.score)
        for pair, own, prediction in zip(pairs, f1, predictions, strict=True)
    ]
    return Mistakes(
        title="Worst answers",
        unit="question",
        num=len(pairs),
        num_wrong=sum(bad is not None for bad in badness),
        what="were not answered exactly as in the data",
        order="The lowest F1 come first, of equal ones the surest",
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
