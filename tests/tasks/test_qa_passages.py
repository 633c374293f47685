"""Windows over contexts agree with Hugging Face, and the best passages with an exhaustive search."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from bertune.config import TaskConfig
from bertune.data.rows import Origin
from bertune.errors import DataError
from bertune.nn.batch import collate
from bertune.tasks import Output, make_task
from bertune.tasks.question_answering.task import (
    AnswerPrediction,
    Example,
    FittedQuestionAnswering,
    QuestionAnswering,
)
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from small_texts import PLAIN

CONTEXT = "the lamp is on the table , the phone is in the box"


def fitted(labels: tuple[str, ...] = ("answer",), **options: Any) -> FittedQuestionAnswering:
    made = make_task(TaskConfig(name="question_answering", **options))
    assert isinstance(made, QuestionAnswering)
    found = made.fitted(labels)
    assert isinstance(found, FittedQuestionAnswering)
    return found


def asked(question: str, context: str, text: str | None = None, start: int | None = None) -> Example:
    """An example with the answer `text`, at its first occurrence unless `start` is given; "" is no answer."""
    gold = None
    if text is not None:
        at = context.index(text) if start is None else start
        gold = ({"text": text, "answer_start": at},) if text else ()
    return Example("q7", Origin("dev.json", 3, "question"), (question, context), gold)


def long_context(num: int, seed: int = 1) -> str:
    return " ".join(random.Random(seed).choices(PLAIN, k=num))


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Path) -> Tokenizer:
    return Tokenizer.pretrained(tiny_weights)


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Byte-level tokens that include spaces, two separators between texts, and one token type."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("roberta")
    bpe = ByteLevelBPETokenizer(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator([long_context(500)], vocab_size=420, special_tokens=special)
    bpe.save_model(str(folder))
    made = RobertaTokenizerFast(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
    made.save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "roberta"}')
    return Tokenizer.pretrained(folder)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize(("max_length", "stride"), [(20, 5), (20, 100), (16, 0), (None, 5)])
def test_windows_equal_those_of_hugging_face(
    tokenizer: Tokenizer, roberta: Tokenizer, kind: str, max_length: int | None, stride: int
) -> None:
    chosen = {"bert": tokenizer, "roberta": roberta}[kind]
    twin = AutoTokenizer.from_pretrained(str(chosen.folder))
    texts = [("where is it", long_context(n, n)) for n in (1, 9, 40, 77)]
    examples = [asked(*pair) for pair in texts]
    found = fitted(stride=stride).encode(examples, chosen, max_length)
    assert chosen.files.rust.truncation is None  # leaves nothing to other passages
    for number, (question, context) in enumerate(texts):
        own = [s for s in found if s.group == number]
        room = (
            (max_length or 10**6)
            - chosen.rust.num_special_tokens_to_add(True)
            - len(chosen.rust.encode(question, add_special_tokens=False))
        )
        expected = twin(
            question, context, truncation="only_second" if max_length else False, max_length=max_length,
            stride=min(stride, room // 2) if max_length else 0, return_overflowing_tokens=bool(max_length),
            return_offsets_mapping=True, return_token_type_ids=True,
        )  # fmt: skip
        ids, types = expected["input_ids"], expected["token_type_ids"]
        assert [s.ids.tolist() for s in own] == (ids if max_length else [ids])
        assert [s.types.tolist() for s in own] == (types if max_length else [types])
        covered = set()
        for window in own:
            assert window.offsets is not None and window.gold is None
            covered |= {i for start, end in window.offsets if start >= 0 for i in range(start, end)}
        assert covered >= {i for i, char in enumerate(context) if char != " "}


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_window_has_gold_only_if_it_contains_the_whole_answer(
    tokenizer: Tokenizer, roberta: Tokenizer, kind: str
) -> None:
    chosen = {"bert": tokenizer, "roberta": roberta}[kind]
    context = long_context(60)
    words = context.split()
    inside = 0
    for first in range(0, 57, 4):
        text = " ".join(words[first : first + 3])
        start = len(" ".join(words[:first])) + (first > 0)
        found = fitted(stride=6).encode([asked("on the lamp ?", context, text, start)], chosen, 24)
        for window in found:
            assert window.offsets is not None and isinstance(window.gold, np.ndarray)
            starts = window.offsets[window.offsets[:, 0] >= 0]
            has_all = starts[0, 0] <= start and start + len(text) <= starts[-1, 1]
            assert has_all == (window.gold[0] > 0) == (window.gold[1] > 0)
            if has_all:
                a, b = window.gold
                assert context[window.offsets[a, 0] : window.offsets[b, 1]].strip() == text
                inside += 1
    assert inside > 15


def test_gold_covers_answers_that_split_words_or_have_no_token(tokenizer: Tokenizer) -> None:
    def gold(text: str, context: str) -> list[int]:
        (window,) = fitted().encode([asked("on the lamp ?", context, text)], tokenizer, None)
        assert isinstance(window.gold, np.ndarray)
        return (window.gold - 6).tolist()  # [CLS], four words and [SEP] come first

    assert gold("amp", "the lamp is on") == [1, 1]
    assert gold("amp is o", "the lamp is on") == [1, 3]
    assert gold(" is ", "the lamp is on") == [2, 2]
    assert gold("\u200b", "\u200bthe lamp") == [0, 0]
    assert gold("\u200bthe", "\u200bthe lamp") == [0, 0]


@pytest.mark.parametrize(
    ("options", "max_length", "message"),
    [
        (
            {"max_question": 10},
            None,
            "has 11 tokens, more than task.max_question=10.*set task.max_question=11",
        ),
        ({}, 16, "has 11 tokens, which leaves only 2 of the 16 tokens in a window"),
    ],
)
def test_a_question_that_is_too_long_is_refused(
    tokenizer: Tokenizer, options: dict[str, Any], max_length: int | None, message: str
) -> None:
    with pytest.raises(DataError, match=rf'question 3 \(id "q7"\): the question {message}'):
        fitted(**options).encode([asked("the " * 11, CONTEXT)], tokenizer, max_length)


def test_the_loss_equals_that_of_hugging_face(tokenizer: Tokenizer) -> None:
    made = fitted(stride=4)
    examples = [asked("where ?", f"{long_context(30)} {CONTEXT} box", "box box"), asked("who ?", CONTEXT, "")]
    sequences = made.encode(examples, tokenizer, 20)
    outputs = torch.randn(sum(map(len, sequences)), 2, generator=torch.manual_seed(3), requires_grad=True)
    total, count = made.loss(outputs, collate(sequences))
    expected = 0.0
    for window, scores in zip(sequences, outputs.detach().split([len(s) for s in sequences]), strict=True):
        assert isinstance(window.gold, np.ndarray)
        for side in (0, 1):
            expected -= float(scores[:, side].log_softmax(0)[int(window.gold[side])]) / 2
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert int(count) == len(sequences) > 2
    total.backward()
    assert outputs.grad is not None and bool(outputs.grad.isfinite().all())


def plainly_best(
    logits: list[Output], windows: list[Sequence], context: str, max_answer: int
) -> dict[str, float]:
    """The best score of every passage, computed one by one by the rules of run_squad.py by Devlin et al."""
    spans = [
        [(i, *map(int, p)) for i, p in enumerate(w.offsets) if p[0] >= 0]
        for w in windows
        if w.offsets is not None
    ]

    def context_of(number: int, start: int) -> float:
        starts = [span[1] for span in spans[number]]
        if start not in starts:
            return -1.0
        at = starts.index(start)
        return min(at, len(starts) - 1 - at) + 0.01 * len(starts)

    found: dict[str, float] = {}
    for number, span in enumerate(spans):
        for at, (first, start, _) in enumerate(span):
            context_there = [context_of(other, start) for other in range(len(spans))]
            if context_there.index(max(context_there)) != number:
                continue
            for last, _, end in span[at : at + max_answer]:
                score = float(logits[number][first, 0]) + float(logits[number][last, 1])
                text = context[start:end]
                found[text] = max(score, found.get(text, -math.inf))
    return found


@pytest.mark.parametrize(("words", "max_answer", "seed"), [(9, 30, 1), (70, 3, 2), (70, 30, 3), (45, 1, 4)])
def test_the_best_spans_equal_an_exhaustive_search(
    tokenizer: Tokenizer, words: int, max_answer: int, seed: int
) -> None:
    made = fitted(stride=6, max_answer=max_answer, n_best=15)
    context = long_context(words, seed)
    example = asked("where is it", context)
    windows = made.encode([example], tokenizer, 24)
    assert (len(windows) > 3) == (words > 40)
    draw = torch.manual_seed(seed)
    logits = [(torch.randn(len(window), 2, generator=draw) * 3).numpy() for window in windows]
    found = made.decode(logits, windows, example)
    expected = plainly_best(logits, windows, context, max_answer)
    best = sorted(expected, key=lambda text: -expected[text])[:15]
    assert [each["answer"] for each in found.n_best] == best
    odds = [math.exp(expected[text]) for text in best]
    assert [each["score"] for each in found.n_best] == pytest.approx([o / sum(odds) for o in odds])
    assert (found.answer, found.score) == (best[0], pytest.approx(found.n_best[0]["score"]))
    assert context[found.start : found.end] == found.answer
    null = min(float(logit[0].sum()) for logit in logits)
    assert found.no_answer_score == pytest.approx(null - expected[best[0]], abs=1e-5)


def decoded(made: FittedQuestionAnswering, tokenizer: Tokenizer, null: float) -> AnswerPrediction:
    example = asked("on", "the lamp")
    (window,) = made.encode([example], tokenizer, None)
    logits = np.zeros((len(window), 2), np.float32)  # [CLS] on [SEP] the lamp [SEP]
    logits[4] = 1.0
    logits[0] = null / 2
    return made.decode([logits], [window], example)


def test_no_answer_is_predicted_only_by_models_trained_on_such_questions(tokenizer: Tokenizer) -> None:
    both = ("answer", "no answer")
    assert decoded(fitted(), tokenizer, 9.0).answer == "lamp"
    assert decoded(fitted(both), tokenizer, 1.9).answer == "lamp"
    withheld = decoded(fitted(both), tokenizer, 3.0)
    assert (withheld.answer, withheld.start, withheld.end) == (None, None, None)
    assert withheld.no_answer_score == pytest.approx(1.0)
    assert [each["answer"] for each in withheld.n_best[:2]] == [None, "lamp"]
    assert sum(each["score"] for each in withheld.n_best) == pytest.approx(1)
    assert decoded(fitted(both, no_answer_threshold=1.5), tokenizer, 3.0).answer == "lamp"


def test_a_context_without_a_token_has_no_answer(tokenizer: Tokenizer) -> None:
    made = fitted()
    example = asked("on", "\u200b")
    windows = made.encode([example], tokenizer, None)
    found = made.decode([np.zeros((len(w), 2), np.float32) for w in windows], windows, example)
    assert (found.answer, found.score, len(found.n_best)) == (None, 1.0, 1)


def test_collapse_and_long_answers_cause_warnings(tokenizer: Tokenizer) -> None:
    made = fitted(("answer", "no answer"), max_answer=2)
    examples = [asked("where ?", CONTEXT, "on the table"), asked("what ?", CONTEXT, "table")]
    sequences = made.encode(examples, tokenizer, None)
    withheld = decoded(made, tokenizer, 9.0)
    collapsed, too_long = made.warnings([withheld] * 3, examples, sequences)
    assert collapsed.startswith('collapsed: the model predicts "no answer" for every question')
    assert too_long.startswith("1 gold answer has more than 2 tokens")


def test_long_answers_are_counted_once_and_only_in_the_given_sequences(
    tokenizer: Tokenizer,
) -> None:
    made = fitted(max_answer=2, stride=10)
    long_answer = asked("where ?", f"{CONTEXT} {long_context(40)}", "in the box")
    others = [asked("what ?", CONTEXT, "table"), asked("who ?", CONTEXT, ""), asked("who ?", CONTEXT)]
    answered = decoded(made, tokenizer, 0.0)
    sequences = made.encode([long_answer, *others, long_answer], tokenizer, 24)
    (too_long,) = made.warnings([answered] * 5, [long_answer, *others, long_answer], sequences)
    num_windows = sum(isinstance(s.gold, np.ndarray) and int(s.gold[1] - s.gold[0]) >= 2 for s in sequences)
    assert num_windows > 2 and too_long.startswith("2 gold answers have more than 2 tokens")
    assert made.warnings([answered] * 3, others, made.encode(others, tokenizer, 24)) == []
