"""Metrics for extractive answers: exact match and F1 as defined by SQuAD and CMRC 2018.

Dimensions: N questions, R resamples.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from bertune.metrics.arrays import BoolArray, FloatArray
from bertune.metrics.details import baseline, calibration, curve, table
from bertune.metrics.scores import Scores, unweighted, weighted_mean

_FEW = 0.2  # fraction of CJK answers that is still an English data set with some Chinese names
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # kana and ideographs; Hangul has spaces
_CJK_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")  # as in CMRC
# One segment per CJK character; words and numbers stay whole (the CMRC script uses NLTK for those).
_SEGMENTS = re.compile(rf"{_CJK.pattern}|(?:(?!{_CJK.pattern})\w)+(?:[.,]\d+)*|[^\w\s]")


def has_no_spaces(gold: Iterable[Sequence[str]]) -> bool:
    """Whether the answers of a data set are Chinese or Japanese and compared by characters, as in CMRC.

    This is decided once for the whole data set, so that a Chinese name in an English answer, or a year in a
    Chinese data set, makes no difference.
    """
    is_cjk = [bool(_CJK.search(text)) for texts in gold for text in texts]
    return sum(is_cjk) > _FEW * len(is_cjk)


def exact_match(gold: Sequence[str], answer: str, by_characters: bool = False) -> float:
    """1 if the answer equals a gold text up to case, punctuation and articles, otherwise 0.

    An empty `gold` means that the question is unanswerable; the matching answer is "".
    """
    same = _same_characters if by_characters else _same_words
    return max(float(same(text, answer)) for text in _comparable(gold))


def f1(gold: Sequence[str], answer: str, by_characters: bool = False) -> float:
    """The maximum F1 over the gold texts, by common words (Rajpurkar et al. 2016, section 6.1).

    With `by_characters`, by the longest common run of characters (Cui et al. 2019, section 4.1).
    """
    pairs = ((_parts(answer, by_characters), _parts(text, by_characters)) for text in _comparable(gold))
    return max(_f1(predicted, gold_parts, by_characters) for predicted, gold_parts in pairs)


def score(
    gold: Sequence[Sequence[str]],
    answers: Sequence[str | None],
    best: Sequence[str | None],
    no_answer_N: FloatArray,
    probability_N: FloatArray | None = None,
    threshold: float = 0.0,
) -> Scores:
    """All scores of N answers, as in the evaluation of SQuAD 2.0 (Rajpurkar et al. 2018).

    Args:
        gold: the gold texts of each question; empty if it is unanswerable.
        answers: the predicted answers; None for "no answer".
        best: the best answer of each question, even if "no answer" was predicted.
        no_answer_N: score of "no answer" minus the score of the best answer. `best_em` and `best_f1` predict
            "no answer" above the threshold that maximizes them; `best_null_threshold` is the one for F1.
        probability_N: the probability of each answer; only used in the report.
        threshold: the threshold that `answers` were predicted with; only used in the report.

    Scores of a kind of question that does not occur are None.
    """
    has_N = np.array([len(texts) > 0 for texts in gold])
    details: dict[str, Any] = {"unit": "question", "count": len(gold), "figures": []}
    em_N, f1_N = _each(gold, answers)
    gains: dict[str, FloatArray] = {}  # over "no answer", of answering a question
    if not has_N.all():
        given_N = np.array([bool(text) for text in best])
        for name, each_N in zip(("best_em", "best_f1"), _each(gold, best), strict=True):
            gains[name] = np.where(has_N, each_N, -1.0 * given_N)

    def weighted(weights_RN: FloatArray) -> dict[str, FloatArray]:
        found = {}
        for name, kinds_N in (("", has_N | True), ("has_answer_", has_N), ("no_answer_", ~has_N)):
            found[f"{name}em"] = weighted_mean(weights_RN, np.where(kinds_N, em_N, np.nan))
            found[f"{name}f1"] = weighted_mean(weights_RN, np.where(kinds_N, f1_N, np.nan))
        undefined_R = np.full(len(weights_RN), np.nan)
        found |= dict.fromkeys(("best_em", "best_f1", "best_null_threshold"), undefined_R)
        none_R = weighted_mean(weights_RN, (~has_N).astype(np.float64))
        for name, gain_N in gains.items():
            gain_R, threshold_R = _best_threshold(gain_N, no_answer_N, weights_RN)
            # If all questions of a resample have an answer, these scores are undefined.
            found[name] = np.where(none_R > 0, gain_R + none_R, np.nan)
            found["best_null_threshold"] = np.where(none_R > 0, threshold_R, np.nan)
        return found

    values = unweighted(weighted, len(gold))
    if gains:
        gain_N = gains["best_f1"]
        marks = {"current": threshold, "best": values["best_null_threshold"] or 0.0}
        details["figures"].append(_by_threshold(gain_N, no_answer_N, float((~has_N).mean()), marks))
        details["baseline"] = baseline("f1", float((~has_N).mean()), "always “no answer”")
    if probability_N is not None:
        details["figures"].append(calibration(probability_N, em_N, "answers"))
    return Scores(values, {**details, "tables": [_by_kind(values, has_N)]}, weighted)


def _by_kind(values: dict[str, float | None], has_N: BoolArray) -> dict[str, Any]:
    """Scores of answerable and unanswerable questions, as in the SQuAD 2.0 script."""
    counts = {"has_answer": int(has_N.sum()), "no_answer": int((~has_N).sum())}
    names = {"has_answer": "answerable", "no_answer": "unanswerable"}
    rows = [
        [names[kind], count, values[f"{kind}_em"], values[f"{kind}_f1"]]
        for kind, count in counts.items()
        if count
    ]
    return table("Questions", ["questions", "number", "EM", "F1"], rows)


def _by_threshold(
    gain_N: FloatArray, no_answer_N: FloatArray, none: float, marks: dict[str, float]
) -> dict[str, Any]:
    """F1 as a function of the no-answer threshold, evaluated at every no-answer score."""
    order_N = np.argsort(no_answer_N, kind="stable")
    f1_N = none + np.cumsum(gain_N[order_N]) / len(gain_N)
    nothing = np.nextafter(no_answer_N.min(), -np.inf)  # at this threshold no question is answered
    points = (np.append(nothing, no_answer_N[order_N]), np.append(none, f1_N))
    return curve("F1 by threshold", ("task.no_answer_threshold", "F1"), {"F1": points}, marks)


def normalized(text: str) -> str:
    """Lower-case a text and remove punctuation, articles and extra spaces (SQuAD evaluation script)."""
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


def _f1(predicted: list[str], gold: list[str], is_contiguous: bool) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    if is_contiguous:
        shared = SequenceMatcher(None, predicted, gold, autojunk=False).find_longest_match().size
    else:
        shared = (Counter(predicted) & Counter(gold)).total()
    return 2 * shared / (len(predicted) + len(gold))


def _without_punctuation(text: str) -> str:
    return text.lower().strip().translate(_CJK_PUNCTUATION)


def _best_threshold(
    gain_N: FloatArray, no_answer_N: FloatArray, weights_RN: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The maximum gain [R] over answering no question, and the no-answer threshold [R] that reaches it."""
    order_N = np.argsort(no_answer_N, kind="stable")
    totals_RN = np.cumsum(weights_RN[:, order_N] * gain_N[order_N], axis=1)
    last_R = totals_RN.argmax(axis=1)
    most_R = totals_RN[np.arange(len(weights_RN)), last_R]
    lowest_R = np.where(weights_RN > 0, no_answer_N, np.inf).min(axis=1)
    nothing_R = np.nextafter(lowest_R, -np.inf)  # answering no question is best
    threshold_R = np.where(most_R <= 0, nothing_R, no_answer_N[order_N[last_R]])
    return np.maximum(most_R, 0.0) / weights_RN.sum(axis=1), threshold_R
