"""Language modelling: loss and gradients equal those of transformers; dynamic masking; filled masks."""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from bertune import api
from bertune.config import DataConfig, ModelConfig, TaskConfig
from bertune.data.rows import Origin
from bertune.data.tables import open_table
from bertune.errors import ConfigError, DataError
from bertune.nn.batch import collate
from bertune.nn.pretrained import Pretrained
from bertune.run import Run
from bertune.saved_model import new_model
from bertune.tasks import make_task
from bertune.tasks.language_modelling.masking import IGNORE_INDEX, unmasked
from bertune.tasks.language_modelling.task import (
    Example,
    FittedLanguageModelling,
    LanguageModelling,
    MasksPrediction,
)
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from small_texts import labelled_texts
from tiny import QUICK, bertune
from trainings import train

TEXTS = [text for text, _ in labelled_texts(40, seed=2)]


def task(**options: Any) -> LanguageModelling:
    made = make_task(TaskConfig(name="language_modelling", **options))
    assert isinstance(made, LanguageModelling)
    return made


def bound(tokenizer: Tokenizer, **options: Any) -> FittedLanguageModelling:
    fitted: FittedLanguageModelling = task(**options).fitted()
    return fitted.bound(tokenizer)


def examples(*texts: str) -> list[Example]:
    return [Example(str(i), Origin("notes.txt", i), (text,)) for i, text in enumerate(texts, 1)]


def masked_positions(sequence: Sequence) -> list[int]:
    assert isinstance(sequence.gold, np.ndarray)
    return np.flatnonzero(sequence.gold != IGNORE_INDEX).tolist()


def test_loss_and_gradients_equal_those_of_transformers(tiny_weights: Path) -> None:
    """The decoder weights are tied to the embeddings, so their gradient is the sum of two parts."""
    tokenizer = Tokenizer.pretrained(tiny_weights)
    this = bound(tokenizer, mask_probability=0.3)
    batch = collate(this.encode(examples(*TEXTS[:8]), tokenizer, None))
    ours = new_model(Pretrained("tiny", tiny_weights, "pretrained"), ModelConfig(dropout=0), this).train()
    hf = ours.hf
    assert hf.get_input_embeddings().weight is hf.get_output_embeddings().weight
    total, count = this.loss(ours(batch), batch)
    (total / count).backward()
    found = {name: p.grad.clone() for name, p in hf.named_parameters() if p.grad is not None}

    hf.zero_grad()
    lengths = batch.lengths_S.tolist()
    ids, gold = (torch.split(t, lengths) for t in (batch.ids_T, batch.gold))
    pad = torch.nn.utils.rnn.pad_sequence
    inputs = pad(list(ids), batch_first=True)
    expected = hf(
        input_ids=inputs,
        attention_mask=pad([torch.ones(n, dtype=torch.int64) for n in lengths], batch_first=True),
        labels=pad(list(gold), batch_first=True, padding_value=IGNORE_INDEX),
    ).loss
    expected.backward()
    assert (total / count).item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = {name: p.grad for name, p in hf.named_parameters() if p.grad is not None}
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3)


def test_masks_differ_between_steps_and_are_reproducible(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    this = bound(tokenizer, mask_probability=0.3)
    sequences = this.encode(examples(*TEXTS[:8]), tokenizer, None)
    steps = [this.resample(sequences, np.random.default_rng([42, step])) for step in (0, 1, 0)]
    positions = [[masked_positions(s) for s in step] for step in steps]
    assert positions[0] != positions[1]
    assert positions[0] == positions[2]
    for step in steps:
        for varied, sequence in zip(step, sequences, strict=True):
            assert unmasked(varied).tolist() == unmasked(sequence).tolist()
    assert this.is_resampled
    assert not make_task(TaskConfig(name="classification")).fitted(("a", "b")).is_resampled


def test_windows_cover_the_whole_document(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    text = " ".join(TEXTS)
    (whole,) = tokenizer.encode([(text,)])
    windows = bound(tokenizer).encode(examples(text), tokenizer, 20)
    assert len(windows) == math.ceil((len(whole) - 2) / 18)
    assert {s.group for s in windows} == {0}
    inside = [i for s in windows for i in unmasked(s)[1:-1].tolist()]
    assert inside == whole.ids[1:-1].tolist()
    assert all(masked_positions(s) for s in windows)


def test_a_document_with_masks_gets_no_random_masks(tiny_weights: Path) -> None:
    text = f"{' '.join(TEXTS)} the [MASK] was late"
    tokenizer = Tokenizer.pretrained(tiny_weights)
    windows = bound(tokenizer).encode(examples(text, TEXTS[0]), tokenizer, 20)
    assert [len(masked_positions(s)) for s in windows if s.group == 0][-2:] in ([0, 1], [1, 0])
    assert sum(len(masked_positions(s)) for s in windows if s.group == 0) == 1
    assert masked_positions(windows[-1])


def outputs_of(sequences: list[Sequence], tokenizer: Tokenizer, this: FittedLanguageModelling) -> list[Any]:
    """The reduced outputs of random logits, as in the prediction loop."""
    batch = collate(sequences)
    assert batch.gold is not None
    torch.manual_seed(3)
    logits_MV = 5 * torch.randn(int((batch.gold >= 0).sum()), tokenizer.num_ids)
    rows_TC = this.reduce_outputs(logits_MV, batch)
    return [rows.numpy() for rows in rows_TC.split(batch.lengths_S.tolist())]


def test_predictions_have_the_probabilities_of_the_masked_word_and_of_the_best_words(
    tiny_weights: Path,
) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    this = bound(tokenizer, mask_probability=0.3)
    texts = examples(TEXTS[0], "the [MASK] was late")
    sequences = this.encode(texts, tokenizer, None)
    outputs = outputs_of(sequences, tokenizer, this)
    own, given = (
        this.decode([rows], [sequence], example)
        for rows, sequence, example in zip(outputs, sequences, texts, strict=True)
    )
    torch.manual_seed(3)
    positions = [(s, position) for s in sequences for position in masked_positions(s)]
    shares_MV = (5 * torch.randn(len(positions), tokenizer.num_ids)).double().softmax(-1)
    assert len(own.masks) == len(positions) - 1 and len(given.masks) == 1
    for mask, shares_V, (sequence, position) in zip(
        [*own.masks, *given.masks], shares_MV, positions, strict=True
    ):
        best = shares_V.topk(5)
        assert list(mask["best"]) == tokenizer.tokens(best.indices.tolist())
        assert list(mask["best"].values()) == pytest.approx(best.values.tolist(), rel=1e-5)
        if mask is given.masks[0]:
            assert (mask["word"], mask["probability"]) == (None, None)
        else:
            gold = int(np.asarray(sequence.gold)[position])
            assert [mask["word"]] == tokenizer.tokens([gold])
            assert mask["probability"] == pytest.approx(float(shares_V[gold]), rel=1e-5)


def test_binding_a_tokenizer_does_not_change_the_fitted_task(tiny_weights: Path, tmp_path: Path) -> None:
    """Regression test: the task kept the masking of its first tokenizer and used it with other tokenizers."""
    first = Tokenizer.pretrained(tiny_weights)
    second = word_level(tmp_path)
    fitted = task(mask_probability=0.3).fit(examples(*TEXTS))
    (example,) = examples("the [MASK] was late")
    masks = []
    for tokenizer in (first, second):
        this = fitted.bound(tokenizer)
        (sequence,) = this.encode([example], tokenizer, None)
        masks.append(int(sequence.ids[masked_positions(sequence)[0]]))
        prediction = this.decode(outputs_of([sequence], tokenizer, this), [sequence], example)
        assert set(prediction.masks[0]["best"]) <= set(tokenizer.tokens(range(tokenizer.num_ids)))
    assert masks == [first.mask_id, second.mask_id] and masks[0] != masks[1]
    assert fitted.masking is None and fitted.tokenizer is None
    assert fitted.options == task(mask_probability=0.3).options


def test_evaluating_pseudo_perplexity_does_not_change_the_fitted_task(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    this = bound(tokenizer, mask_probability=0.3)
    before = [masked_positions(s) for s in this.encode(examples(*TEXTS[:4]), tokenizer, None)]
    in_turn = this.task.fitted(this.labels, pseudo_perplexity=True).bound(tokenizer)
    assert all(len(masked_positions(s)) == 1 for s in in_turn.encode(examples(*TEXTS[:4]), tokenizer, None))
    prediction = MasksPrediction([{"best": {"late": 0.5}, "word": "late", "probability": 0.5}])
    assert in_turn.score([prediction], examples("late")).values["pseudo_perplexity"] == pytest.approx(2)
    assert this.score([prediction], examples("late")).values["perplexity"] == pytest.approx(2)
    assert [masked_positions(s) for s in this.encode(examples(*TEXTS[:4]), tokenizer, None)] == before
    assert not this.options.pseudo_perplexity


def test_an_unbound_task_raises_an_error(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    fitted = task().fitted()
    sequences = bound(tokenizer).encode(examples(TEXTS[0]), tokenizer, None)
    batch = collate(sequences)
    with pytest.raises(AssertionError, match="bound"):
        fitted.encode(examples(TEXTS[0]), tokenizer, None)
    with pytest.raises(AssertionError, match="bound"):
        fitted.resample(sequences, np.random.default_rng(1))
    with pytest.raises(AssertionError, match="bound"):
        fitted.loss(torch.zeros(1, 1), batch)
    with pytest.raises(AssertionError, match="bound"):
        fitted.decode([], [], examples(TEXTS[0])[0])


def test_a_task_can_be_pickled_after_decoding(tiny_weights: Path) -> None:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    this = bound(tokenizer, mask_probability=0.3)
    sequences = this.encode(examples(TEXTS[0]), tokenizer, None)
    outputs = outputs_of(sequences, tokenizer, this)
    prediction = this.decode(outputs, sequences, examples(TEXTS[0])[0])
    copy = pickle.loads(pickle.dumps(this))
    assert copy.decode(outputs, sequences, examples(TEXTS[0])[0]) == prediction


@pytest.fixture(scope="module")
def trained(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("words")
    file = folder / "notes.txt"
    file.write_text("\n\n".join(TEXTS) + "\n", encoding="utf-8")
    overrides = {
        "task.name": "language_modelling", "data.reader": "documents", "model.name": str(tiny_weights),
        "train.epochs": 4, "train.batch_size": 8, "train.lr": 0.003, "train.freeze": 1,
        "machine.precision": "fp32", "machine.device": "cpu",
    }  # fmt: skip
    return train(file, folder / "run", overrides)[0]


def test_a_score_that_training_cannot_define_is_not_shown(tiny_weights: Path, tmp_path: Path) -> None:
    """The pseudo-perplexity needs one forward pass per token, which only evaluation makes."""
    (tmp_path / "notes.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    settings = ("task.name=mlm", "data.text=0", f"model.name={tiny_weights}", *QUICK)
    said = bertune("train", tmp_path / "notes.txt", *settings, "--out", tmp_path / "run").fine()
    (heads,) = (line for line in said.err.splitlines() if line.split()[:2] == ["step", "epoch"])
    assert "perplexity" in heads.split() and "pseudo_perplexity" not in said.err
    assert "undefined" not in said.err


def test_perplexity_is_the_exponential_of_the_loss(trained: Run) -> None:
    last = [line["validation"] for line in trained.metrics() if "validation" in line][-1]
    assert last["perplexity"] == pytest.approx(math.exp(last["loss"]), rel=1e-4)
    assert 0 <= last["masked_accuracy"] <= 1


def test_the_batch_size_counts_windows(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text(" ".join(TEXTS) + "\n\n" + " ".join(TEXTS[:20]))
    (tmp_path / "other.txt").write_text(TEXTS[0])
    overrides = {
        "task.name": "language_modelling", "data.reader": "documents", "model.name": str(tiny_weights),
        "train.epochs": 1, "train.batch_size": 4, "machine.device": "cpu", "model.max_length": 16,
        "data.validation": str(tmp_path / "other.txt"),
    }  # fmt: skip
    run, _ = train(tmp_path / "long.txt", tmp_path / "run", overrides)
    whole = Tokenizer.pretrained(tiny_weights).windows([(" ".join(TEXTS),), (" ".join(TEXTS[:20]),)], 16, 0)
    assert len(whole) > 20
    assert run.manifest["training"]["steps_done"] == math.ceil(len(whole) / 4)


def test_a_file_with_one_document_is_an_error_with_a_remedy(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(" ".join(TEXTS))
    overrides = {
        "task.name": "language_modelling", "data.reader": "documents", "model.name": str(tiny_weights),
    }  # fmt: skip
    with pytest.raises(DataError, match=r"one\.txt, line 1: .* is a single row, .* data\.validation"):
        api.train(tmp_path / "one.txt", settings=overrides, out=tmp_path / "run")


def test_frozen_outputs_are_not_cached_with_dynamic_masking(trained: Run) -> None:
    # With a cache, all epochs would reuse the masks of the first epoch.
    assert trained.manifest["status"] == "complete"
    assert not (trained.path / "frozen").exists()
    losses = [line["loss"] for line in trained.metrics()]
    assert len(set(losses)) == len(losses)


def test_masks_are_filled_like_in_transformers(trained: Run) -> None:
    text = "the [MASK] was very [MASK] today"
    (found,) = api.predict(trained, [text])
    assert [mask["word"] for mask in found.masks] == [None, None]
    fill = transformers.pipeline("fill-mask", model=str(trained.model_path), device="cpu")
    for mask, expected in zip(found.masks, fill(text), strict=True):
        assert list(mask["best"]) == [one["token_str"] for one in expected]
        assert list(mask["best"].values()) == pytest.approx([one["score"] for one in expected], abs=1e-5)


def test_some_words_of_a_text_without_masks_are_predicted(trained: Run) -> None:
    (found,) = api.predict(trained, [TEXTS[0]])
    assert found.masks
    for mask in found.masks:
        assert mask["word"] in TEXTS[0]
        assert 0 < mask["probability"] < 1
        assert len(mask["best"]) == 5


def test_masks_in_the_text_are_not_scored(trained: Run, tmp_path: Path) -> None:
    file = tmp_path / "masked.jsonl"
    file.write_text('{"text": "the [MASK] was late"}\n')
    assert set(api.evaluate(trained, file).scores.values()) == {None}


def test_pseudo_perplexity_masks_each_token_alone(trained: Run, tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_text("\n\n".join(TEXTS[:3]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained.model_path)
    model = transformers.AutoModelForMaskedLM.from_pretrained(trained.model_path).eval()
    logs: list[float] = []
    for text in TEXTS[:3]:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        for position in range(1, ids.shape[1] - 1):
            hidden = ids.clone()
            hidden[0, position] = tokenizer.mask_token_id
            with torch.no_grad():
                log_V = model(hidden).logits[0, position].log_softmax(-1)
            logs.append(float(log_V[ids[0, position]]))
    said = bertune(
        "evaluate", trained.path, file, "task.pseudo_perplexity=true", "machine.precision=fp32", "--json"
    ).fine()  # fmt: skip
    scores = said.json["scores"]["some"]
    assert scores["pseudo_perplexity"] == pytest.approx(math.exp(-sum(logs) / len(logs)), rel=1e-4)
    assert scores["perplexity"] is None


def test_pseudo_perplexity_in_training_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"task\.pseudo_perplexity=true is not available in training"):
        task(pseudo_perplexity=True).fit(examples(*TEXTS))


def test_the_command_fills_masks_from_a_pipe(trained: Run) -> None:
    said = bertune("predict", trained.path, "-", stdin="the [MASK] was late\n").fine()
    assert set(said.lines[0]) == {"text", "masks"}


def test_documents_are_blocks_between_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("\ufeff\n\nfirst line\nsecond, line\n \t\nalone\r\n\r\n\r\nthe\tlast", encoding="utf-8")
    table = open_table(file, DataConfig(reader="documents"), ())
    assert table.columns == ("text",)
    assert [(row.values["text"], row.origin.line) for row in table.rows()] == [
        ("first line\nsecond, line", 3),
        ("alone", 6),
        ("the\tlast", 9),
    ]


def test_a_txt_file_is_only_read_as_documents_if_the_reader_is_set(tmp_path: Path) -> None:
    file = tmp_path / "table.txt"
    file.write_text("good\tnice\n\nbad\tawful\n", encoding="utf-8")
    assert open_table(file, DataConfig(), ()).columns == ("0", "1")


def word_level(folder: Path) -> Tokenizer:
    """A tokenizer with few words, whose mask has another id than in the tokenizer of the tiny model."""
    from tokenizers import Tokenizer as Rust
    from tokenizers import models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["the", "was", "late", "[UNK]", "lamp", "kitchen", "[MASK]"]
    rust = Rust(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    files = PreTrainedTokenizerFast(tokenizer_object=rust, unk_token="[UNK]", mask_token="[MASK]")
    files.save_pretrained(folder)
    return Tokenizer.pretrained(folder)
