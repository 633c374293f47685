"""The peers read, decode and score correctly, by hand-written cases and by bertune; each trains once."""

import importlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertune.metrics import answers as answer_scores
from bertune.metrics import spans as span_scores
from bertune.tasks.token_classification.schemes import Scheme, read_tags
from small_texts import BAD, GOOD, PLAIN

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"


@pytest.fixture(scope="module", autouse=True)
def peers_on_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PEERS))
        yield


def peer(name: str) -> Any:
    return importlib.import_module(name)


@pytest.fixture
def tokenizer(tiny_weights: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_weights)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-A I-A O B-A", {(0, 2, "A"), (3, 4, "A")}),
        ("B-A B-A I-B", {(0, 1, "A"), (1, 2, "A"), (2, 3, "B")}),
        ("O I-A I-A", {(1, 3, "A")}),
        ("O O", set()),
    ],
)
def test_entities_are_decoded_as_in_conlleval(tags: str, found: set[tuple[int, int, str]]) -> None:
    assert peer("hf_tokens").entities(tags.split()) == found
    theirs = {(span.start, span.end, span.label) for span in read_tags(tags.split(), Scheme("bio")).spans}
    assert theirs == found


def test_both_sides_give_the_same_scores_for_tags() -> None:
    draw = random.Random(3)
    gold, predicted = (
        [[draw.choice(["O", "O", "B-X", "I-X", "B-Y", "I-Y"]) for _ in range(9)] for _ in range(40)]
        for _ in range(2)
    )
    ours = peer("hf_tokens").scores(gold, predicted)
    spans = [[read_tags(tags, Scheme("bio")).spans for tags in side] for side in (gold, predicted)]
    theirs = span_scores.score_spans(*spans).values
    assert {name: ours[name] for name in ("f1", "precision", "recall")} == pytest.approx(
        {name: theirs[name] for name in ("f1", "precision", "recall")}
    )
    assert ours["accuracy"] == pytest.approx(span_scores.accuracy(gold, predicted))
    assert 0 < ours["f1"] < 1


def test_only_the_first_subword_of_a_word_is_labelled(tokenizer: Any) -> None:
    hf_tokens = peer("hf_tokens")
    sentences = [(["phones", "in", "table"], ["B-X", "O", "B-Y"])]  # phone ##s
    (feature,), (places,) = hf_tokens.encode(sentences, tokenizer, {"B-X": 0, "B-Y": 1, "O": 2}, 16)
    assert feature["labels"] == [-100, 0, -100, 2, 1, -100]
    assert places == [(0, 1), (1, 3), (2, 4)]


def question(context: str, answer: str) -> Any:
    return peer("hf_qa").Question("the phone", context, [(answer, context.index(answer))])


def test_a_window_points_to_the_answer_only_if_it_contains_all_of_it(tokenizer: Any) -> None:
    hf_qa = peer("hf_qa")
    asked = question("phone lamp chair table cable screen button", "table cable")
    found = hf_qa.windows([asked], tokenizer, 9, 2)  # 4 tokens of the context each
    texts = [
        asked.context[window.places[first][0] : window.places[last][1]] if last else ""
        for window in found
        for first, last in [hf_qa.answer_in(window, asked)]
    ]
    assert texts == ["", "table cable", ""]
    assert all(set(window.feature["token_type_ids"]) == {0, 1} for window in found)


def test_the_best_answer_is_a_valid_span_of_the_context(tokenizer: Any) -> None:
    hf_qa = peer("hf_qa")
    asked = question("phone lamp chair table", "lamp chair")
    (window,) = hf_qa.windows([asked], tokenizer, 32, 2)
    start, end = np.zeros(len(window.places) + 3), np.zeros(len(window.places) + 3)  # padded
    start[[0, 6, 5]] = 9.0, 5.0, 4.0  # [CLS] is not an answer; chair
    end[[0, 5, 6]] = 9.0, 6.0, 4.0  # lamp ends before chair begins
    logits = {"start_logits": start, "end_logits": end}
    assert hf_qa.best_answer(asked.context, [(window, logits)]) == "lamp"


@pytest.mark.parametrize(
    ("answer", "gold"), [("the Lamp.", "a lamp"), ("red lamp", "lamp of red glass"), ("", "x"), ("y", "x")]
)
def test_both_sides_give_the_same_scores_for_answers(answer: str, gold: str) -> None:
    hf_qa = peer("hf_qa")
    asked = hf_qa.Question("?", gold, [(gold, 0), ("no such", 0)])
    ours = hf_qa.scores([asked], [answer])
    assert ours["em"] == answer_scores.exact_match([gold, "no such"], answer)
    assert ours["f1"] == pytest.approx(answer_scores.f1([gold, "no such"], answer))


def conll(path: Path) -> None:
    draw = random.Random(1)
    sentences = []
    for _ in range(24):
        words = [draw.choice((*PLAIN[:12], *GOOD)) for _ in range(draw.randint(2, 8))]
        sentences.append("\n".join(f"{word} {'B-G' if word in GOOD else 'O'}" for word in words))
    path.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")


def squad(path: Path) -> None:
    draw = random.Random(2)
    paragraphs = []
    for number in range(24):
        words = draw.choices(PLAIN, k=draw.randint(6, 14))
        at = draw.randrange(len(words))
        words[at] = draw.choice(GOOD)
        answer = {"text": words[at], "answer_start": len(" ".join([*words[:at], ""]))}
        asked = {"id": str(number), "question": "the phone", "answers": [answer]}
        paragraphs.append({"context": " ".join(words), "qas": [asked]})
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")


def dream(path: Path) -> None:
    draw = random.Random(3)
    items = []
    for number in range(24):
        choices = [draw.choice(GOOD), draw.choice(BAD), draw.choice(PLAIN)]
        asked = {"question": "it is", "choice": choices, "answer": choices[0]}
        items.append([draw.choices(PLAIN, k=4), [asked], str(number)])
    path.write_text(json.dumps(items), encoding="utf-8")


def stsb(path: Path) -> None:
    draw = random.Random(4)
    lines = ["index\tsentence1\tsentence2\tscore"]
    for number in range(24):
        first = draw.choices(PLAIN, k=6)
        kept = draw.randrange(7)
        second = first[:kept] + draw.choices(BAD, k=6 - kept)
        lines.append(f"{number}\t{' '.join(first)}\t{' '.join(second)}\t{5 * kept / 6:.3f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write", "recipe", "score", "least"),
    [
        ("hf_tokens", conll, {"max_length": 32, "epochs": 20}, "f1", 0.9),
        ("hf_qa", squad, {"max_length": 16, "stride": 4, "epochs": 20}, "f1", 0.5),
        ("hf_choice", dream, {"max_length": 32, "epochs": 20}, "accuracy", 0.9),
        ("st_embeddings", stsb, {"loss": "mse", "epochs": 2}, "spearman", 0.5),
        ("st_embeddings", stsb, {"loss": "cosent", "epochs": 2}, "spearman", 0.5),
    ],
)
def test_each_peer_fits_its_training_data(
    name: str,
    write: Callable[[Path], None],
    recipe: dict[str, Any],
    score: str,
    least: float,
    tiny_weights: Path,
    tmp_path: Path,
) -> None:
    if name.startswith("st_"):
        pytest.importorskip("sentence_transformers", reason="installed with the extra bench")
    write(tmp_path / "data")
    how = {"batch_size": 4, "lr": 3e-3, "precision": "fp32", **recipe}
    asked = peer("peer_recipe").Run(tmp_path / "data", tmp_path / "data", tiny_weights, 1, how)
    out = tmp_path / "out"
    out.mkdir()
    assert peer(name).run(asked, out)[score] >= least
