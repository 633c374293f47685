"""Owns the scores of answer texts: exact match and F1 as SQuAD and CMRC 2018 define them.

Dimensions: N questions.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.details import baseline, calibration, curve, table
from bertune.metrics.scores import Scores

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_FEW = 0.2  # of gold texts: what Chinese names an English data set may have
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # kana and ideographs; Hangul has spaces
_CJK_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")  # CMRC's list
# Characters one by one, the words and numbers between them whole (CMRC's script asks NLTK for those).
_SEGMENTS = re.compile(rf"{_CJK.pattern}|(?:(?!{_CJK.pattern})\w)+(?:[.,]\d+)*|[^\w\s]")


def has_no_spaces(gold: Iterable[Sequence[str]]) -> bool:
    """Whether a data set's answers are Chinese or Japanese, and compared by characters as CMRC's script does.

    A whole data set has one script: a Chinese name in brackets changes nothing for an English answer, nor
    does a year for a Chinese data set.
    """
    is_cjk = [bool(_CJK.search(text)) for texts in gold for text in texts]
    return sum(is_cjk) > _FEW * len(is_cjk)


def exact_match(gold: Sequence[str], answer: str, by_characters: bool = False) -> float:
    """1 where an answer equals one of the gold texts but for case, punctuation and articles, else 0.

    No gold text means that the question has no answer; "" is the answer that says so.
    """
    same = _same_characters if by_characters else _same_words
    return max(float(same(text, answer)) for text in _comparable(gold))


def f1(gold: Sequence[str], answer: str, by_characters: bool = False) -> float:
    """The best F1 with one of the gold texts: of words in common (Rajpurkar et al. 2016, section 6.1).

    Or by characters: of the longest run of them in common (Cui et al. 2019, section 4.1).
    """
    pairs = ((_parts(answer, by_characters), _parts(text, by_characters)) for text in _comparable(gold))
    return max(_f1(ours, theirs, by_characters) for ours, theirs in pairs)


def score(
    gold: Sequence[Sequence[str]],
    answers: Sequence[str | None],
    best: Sequence[str | None],
    no_answer_N: FloatArray,
    probability_N: FloatArray | None = None,
    threshold: float = 0.0,
) -> Scores:
    """Every score of N answers, as SQuAD 2.0 is evaluated (Rajpurkar et al. 2018).

    `gold` has no text for a question without an answer, `answers` None where none is given. `best` is the
    best answer even so, and `no_answer_N` by how much "no answer" scores above it: in `best_em` and `best_f1`
    answers are withheld where that exceeds the threshold which is best. `best_null_threshold` is F1's. Scores
    about questions that are not there are None. `probability_N` of each answer and the `threshold` that
    answers were withheld at are for the report alone.
    """
    has_N = np.array([len(texts) > 0 for texts in gold])
    details: dict[str, Any] = {"unit": "question", "count": len(gold), "figures": []}
    em_N, f1_N = _each(gold, answers)
    values: dict[str, float | None] = {"em": float(em_N.mean()), "f1": float(f1_N.mean())}
    for name, chosen_N in (("has_answer", has_N), ("no_answer", ~has_N)):
        values[f"{name}_em"] = float(em_N[chosen_N].mean()) if chosen_N.any() else None
        values[f"{name}_f1"] = float(f1_N[chosen_N].mean()) if chosen_N.any() else None
    values |= dict.fromkeys(("best_em", "best_f1", "best_null_threshold"))
    if not has_N.all():
        given_N = np.array([bool(text) for text in best])
        for name, each_N in zip(("best_em", "best_f1"), _each(gold, best), strict=True):
            gain_N = np.where(has_N, each_N, -1.0 * given_N)
            gain, values["best_null_threshold"] = _best_threshold(gain_N, no_answer_N)
            values[name] = gain + float((~has_N).mean())
        marks = {"as set": threshold, "best": values["best_null_threshold"] or 0.0}
        details["figures"].append(_by_threshold(gain_N, no_answer_N, float((~has_N).mean()), marks))
        details["baseline"] = baseline("f1", float((~has_N).mean()), "no question answered")
    if probability_N is not None:
        details["figures"].append(calibration(probability_N, em_N, "answers"))
    return Scores(values, {**details, "tables": [_by_kind(values, has_N)]})


def _by_kind(values: dict[str, float | None], has_N: BoolArray) -> dict[str, Any]:
    """Answerable questions and others apart, as SQuAD 2.0's script does."""
    counts = {"has_answer": int(has_N.sum()), "no_answer": int((~has_N).sum())}
    names = {"has_answer": "that have an answer", "no_answer": "that have none"}
    rows = [
        [names[kind], count, values[f"{kind}_em"], values[f"{kind}_f1"]]
        for kind, count in counts.items()
        if count
    ]
    return table("Questions", ["questions", "number", "EM", "F1"], rows)


def _by_threshold(
    gain_N: FloatArray, no_answer_N: FloatArray, none: float, marks: dict[str, float]
) -> dict[str, Any]:
    """F1 where answers are withheld above each no-answer score there is."""
    order_N = np.argsort(no_answer_N, kind="stable")
    f1_N = none + np.cumsum(gain_N[order_N]) / len(gain_N)
    nothing = np.nextafter(no_answer_N.min(), -np.inf)  # up to which no question is answered
    points = (np.append(nothing, no_answer_N[order_N]), np.append(none, f1_N))
    return curve("F1 by threshold", ("task.no_answer_threshold", "F1"), {"F1": points}, marks)


def normalized(text: str) -> str:
    """Lower case, without punctuation, articles and superfluous spaces (SQuAD's evaluation script)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _each(gold: Sequence[Sequence[str]], answers: Sequence[str | None]) -> tuple[FloatArray, FloatArray]:
    rule = has_no_spaces(gold)
    pairs = [(texts, answer or "", rule) for texts, answer in zip(gold, answers, strict=True)]
    return np.array([exact_match(*pair) for pair in pairs]), np.array([f1(*pair) for pair in pairs])


def _comparable(gold: Sequence[str]) -> Sequence[str]:
    return [text for text in gold if normalized(text)] or [""]


def _same_words(gold: str, answer: str) -> bool:
    return normalized(gold) == normalized(answer)


def _same_characters(gold: str, answer: str) -> bool:
    return _without_punctuation(gold) == _without_punctuation(answer)


def _parts(text: str, by_characters: bool) -> list[str]:
    return _SEGMENTS.findall(_without_punctuation(text)) if by_characters else normalized(text).split()


def _f1(ours: list[str], theirs: list[str], in_a_run: bool) -> float:
    if not ours or not theirs:
        return float(ours == theirs)
    if in_a_run:
        shared = SequenceMatcher(None, ours, theirs, autojunk=False).find_longest_match().size
    else:
        shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


def _without_punctuation(text: str) -> str:
    return text.lower().strip().translate(_CJK_PUNCTUATION)


def _best_threshold(gain_N: FloatArray, no_answer_N: FloatArray) -> tuple[float, float]:
    """The most that answering adds to answering nothing, and up to which no-answer score to answer."""
    order_N = np.argsort(no_answer_N, kind="stable")
    total_N = np.cumsum(gain_N[order_N])
    last = int(total_N.argmax())
    if total_N[last] <= 0:
        return 0.0, float(np.nextafter(no_answer_N.min(), -np.inf))  # best to answer nothing
    return float(total_N[last] / len(gain_N)), float(no_answer_N[order_N[last]])
