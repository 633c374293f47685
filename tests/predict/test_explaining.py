"""Explanations name the words that mattered, add up, and leave the model as it is."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bertune as bt
from bertune import registry
from bertune.errors import DataError
from bertune.predict.explaining import Explanation, can_explain, explain
from bertune.predict.model import Model
from small_texts import BAD, GOOD, labelled_texts, write_csv
from tiny_exports import Exports, rows_of
from trainings import train

TASKS = registry.names("task")
# What a task predicts, without its label; a text with a mask for the task that fills masks.
INPUTS: dict[str, Any] = {
    "language_modelling": {"text": "heavy [MASK] and strong wind"},
    "token_classification": {"tokens": ["ada", "king", "lives", "in", "paris"]},
}


def explained(model: Model, row: Any, target: Any = None) -> Explanation:
    read = model.tokenize([row])
    return explain(model, read, model.backend(read.sequences).outputs, target)


@pytest.fixture(scope="module")
def reviews(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that has learned which words are good, which are bad, and that a text may have neither."""
    folder = tmp_path_factory.mktemp("explained")
    telling = {*GOOD, *BAD}
    plain = [
        (" ".join(w for w in text.split() if w not in telling), "neither") for text, _ in labelled_texts(150)
    ]
    rows = [row for row in (*labelled_texts(300, seed=6), *plain) if row[0]]
    settings = {
        "model.name": str(tiny_folder), "model.dropout": 0, "machine.precision": "fp32", "machine.threads": 1,
        "train.epochs": 6, "train.batch_size": 16, "train.lr": 5e-3,
    }  # fmt: skip
    data = write_csv(folder / "reviews.csv", ("text", "label"), rows)
    run, _ = train(str(data), folder / "run", settings)
    return bt.load(run, settings={"machine.threads": 1})


@pytest.mark.parametrize("task", TASKS)
def test_contributions_add_up_to_the_change_of_the_output(task: str, exports: Exports) -> None:
    model = bt.load(exports.run(task), settings={"machine.threads": 1, "machine.precision": "fp32"})
    assert can_explain(model)
    row = INPUTS.get(task) or rows_of(task)[0]
    found = explained(model, row)
    difference = found.value - found.baseline
    total = sum(word.contribution for word in found.words)
    assert total == pytest.approx(difference, abs=0.05 * max(abs(difference), 0.1))
    assert abs(difference) > 1e-3, "the words change the output"
    assert all(word.contribution != 0 for word in found.words if texts_of(found)[word] not in "[MASK]")


def texts_of(found: Explanation) -> dict[Any, str]:
    return {word: found.texts[word.text][word.start : word.end] for word in found.words}


@pytest.mark.parametrize(("label", "telling"), [("good", GOOD), ("bad", BAD)])
def test_the_word_that_decides_contributes_most(reviews: Model, label: str, telling: tuple[str, ...]) -> None:
    for word in telling[:4]:
        text = f"the phone on my table is so {word} this morning"
        supporting, opposing = (
            contributions(explained(reviews, text, target)) for target in (None, "neither")
        )
        assert reviews.predict([text])[0].label == label
        assert max(supporting, key=supporting.__getitem__) == word
        assert supporting[word] > 0.5 * sum(supporting.values())
        assert min(opposing, key=opposing.__getitem__) == word, (
            "the reason why the text is not of another label"
        )


def contributions(found: Explanation) -> dict[str, float]:
    return {found.texts[w.text][w.start : w.end]: w.contribution for w in found.words}


def test_words_are_those_of_the_text_with_their_offsets(reviews: Model) -> None:
    text = "  Great!!  phones, 电池  — lamp's"
    words = list(texts_of(explained(reviews, text)).values())
    assert words == ["Great", "!", "!", "phones", ",", "电", "池", "—", "lamp", "'", "s"]


def test_the_model_is_not_changed_and_can_be_used_at_the_same_time(reviews: Model) -> None:
    network = reviews.backend.model  # type: ignore[attr-defined]
    texts = [text for text, _ in labelled_texts(40, seed=9)]
    before = {name: p.clone() for name, p in network.state_dict().items()}
    size = len(pickle.dumps(reviews))
    requiring = [p.requires_grad for p in network.parameters()]
    expected = reviews.predict_proba(texts)
    seen: list[Any] = []
    read = reviews.tokenize(["a great phone with a broken lamp"])
    outputs = reviews.backend(read.sequences).outputs
    explain(reviews, read, outputs, poll=lambda: seen.append(reviews.predict_proba(texts)))
    assert seen
    for found in (*seen, reviews.predict_proba(texts)):
        assert np.array_equal(found, expected)
    assert all(torch.equal(before[name], p) for name, p in network.state_dict().items())
    assert [p.requires_grad for p in network.parameters()] == requiring
    assert all(p.grad is None for p in network.parameters())
    assert not network.training
    assert len(pickle.dumps(reviews)) == size


def test_an_explanation_can_be_stopped(reviews: Model) -> None:
    read = reviews.tokenize(["a great phone"])

    def stop() -> None:
        raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        explain(reviews, read, reviews.backend(read.sequences).outputs, poll=stop)


def test_all_windows_of_a_long_text_are_explained(exports: Exports) -> None:
    folder = exports.run("question_answering")
    model = bt.load(folder, settings={"machine.threads": 1, "model.max_length": 24})
    context = "Bo plays the drum. " * 6 + "Ada sings."
    found = explained(model, {"question": " who sings?", "context": context})
    answer = model.predict([("who sings?", context)])[0]
    assert found.texts == ("who sings?", context)
    told = [w for w in found.words if w.text == 1 and w.contribution]
    assert min(w.start for w in told) <= answer.start < answer.end <= max(w.end for w in told)


@pytest.mark.parametrize(
    ("task", "target", "message"),
    [
        ("classification", "goood", 'Did you mean "good"?'),
        ("multiple_choice", 2, "from 0 to 1"),
        ("token_classification", True, "from 0"),
        ("language_modelling", -1, "from 0 to 0"),
    ],
)
def test_an_unknown_target_is_refused(task: str, target: Any, message: str, exports: Exports) -> None:
    model = bt.load(exports.run(task), settings={"machine.threads": 1})
    with pytest.raises(DataError, match=message):
        explained(model, INPUTS.get(task) or rows_of(task)[0], target)


def test_each_choice_and_entity_can_be_explained(exports: Exports) -> None:
    for task in ("multiple_choice", "token_classification"):
        model = bt.load(exports.run(task), settings={"machine.threads": 1})
        row = INPUTS.get(task) or rows_of(task)[0]
        found = [explained(model, row, target) for target in (0, 1)]
        assert [one.target for one in found] == [0, 1]
        assert found[0].words != found[1].words


def test_a_single_vector_has_nothing_to_explain(exports: Exports) -> None:
    model = bt.load(exports.run("embeddings"), settings={"machine.threads": 1})
    with pytest.raises(DataError, match="nothing to explain"):
        explained(model, "forgot my login")


@pytest.fixture
def roberta(tmp_path: Path, settings: Callable[..., dict[str, Any]], reviews_csv: Path) -> Model:
    """A model with byte-level tokens, whose offsets include the space before a word."""
    from tokenizers.implementations import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForMaskedLM, RobertaTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator([text for text, _ in labelled_texts(61)], 400, special_tokens=special)
    folder = tmp_path / "roberta"
    folder.mkdir()
    trainer.save_model(str(folder))
    tokenizer = RobertaTokenizerFast.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=36, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=37, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, initializer_range=0.15,
    )  # fmt: skip
    RobertaForMaskedLM(config).save_pretrained(folder)
    run, _ = train(
        str(reviews_csv), tmp_path / "run", settings(**{"model.name": str(folder), "train.epochs": 1})
    )
    return bt.load(run, settings={"machine.threads": 1})


def test_byte_level_tokens_and_emoji(roberta: Model) -> None:
    found = explained(roberta, "a great 🙂 phone, 电池")
    assert list(texts_of(found).values()) == ["a", "great", "🙂", "phone", ",", "电", "池"]
    assert all(word.contribution for word in found.words)
    total = sum(word.contribution for word in found.words)
    assert total == pytest.approx(found.value - found.baseline, abs=0.01)
