"""Training with a compact vocabulary is exactly like training with the whole embedding table."""

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import bertune
from bertune.nn.vocabulary import (
    CompactEmbedding,
    rebase_on_file,
    restore_vocabulary,
    restrict_vocabulary,
    tables,
)
from bertune.run import Run
from bertune.source import resolve_source
from bertune.training.events import Stepped
from bertune.training.fit import train_source
from small_texts import labelled_texts, write_csv, write_vocabulary
from trainings import Command, as_arguments, stopped_after, train, without_times

# A multiple of 16: in tables of other sizes, fused AdamW computes the last elements in another loop with
# other rounding, and which elements those are depends on the number of rows.
_HIDDEN = 32
_WORDS, _LONGEST = 300, 64
_SIZES: dict[str, Any] = {
    "vocab_size": _WORDS, "hidden_size": _HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 37, "max_position_embeddings": _LONGEST, "initializer_range": 0.15,
}  # fmt: skip
_PADDING_SECOND = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
FAMILIES = {
    "bert": lambda: transformers.BertConfig(**_SIZES),
    "roberta": lambda: transformers.RobertaConfig(**_SIZES, **_PADDING_SECOND, type_vocab_size=1),
    "mpnet": lambda: transformers.MPNetConfig(**_SIZES, **_PADDING_SECOND),
}
TABLE = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An untrained model of each family; two thirds of the vocabulary are not in any text."""
    made = {}
    for family, config in FAMILIES.items():
        made[family] = folder = tmp_path_factory.mktemp("families") / family
        folder.mkdir()
        write_vocabulary(folder)
        tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "vocab.txt").unlink()
        config().save_pretrained(folder)
    return made


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Training, validation and test files; the last two have words that are in no other file."""
    folder = tmp_path_factory.mktemp("texts")
    absent = ("clock", "garden")

    def without(num: int, seed: int) -> list[tuple[str, str]]:
        return [
            (" ".join(word for word in text.split() if word not in absent) or "good", label)
            for text, label in labelled_texts(num, seed)
        ]

    files = {
        "train": without(45, 5),
        "validation": [*without(8, 6), ("a great clock", "good"), ("a dull zyzzyva", "bad")],
        "test": [*without(4, 7), ("the garden is bright", "good"), ("a torn qwertyuiop", "bad")],
    }
    return {
        name: str(write_csv(folder / f"{name}.csv", ("text", "label"), rows)) for name, rows in files.items()
    }


@pytest.fixture
def changes(folders: dict[str, Path], texts: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """Settings for twelve steps with decay and dropout, and with evaluations and checkpoints."""

    def make(family: str, **more: Any) -> dict[str, Any]:
        return {
            "model.name": str(folders[family]),
            "model.dropout": 0.2,
            "data.validation": texts["validation"],
            "data.test": texts["test"],
            "machine.precision": "fp32",
            "machine.device": "cpu",
            "machine.micro_batch_tokens": 64,
            "train.epochs": 2,
            "train.batch_size": 8,
            "train.lr": 3e-3,
            "train.weight_decay": 0.3,
            "train.evaluate_every": 3,
            "train.checkpoint_every": 2,
            "train.best_metric": "loss",
            # The norm of a table is summed in another order, so clipped gradients agree only up to rounding.
            "optimizer.max_grad_norm": 0,
            "train.baselines": False,
            "train.explain": False,
            **more,
        }

    return make


@pytest.fixture
def whole_tables(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A switch: whether the following trainings use whole embedding tables, the slow reference."""
    compact = bertune.training.refitting.restrict_vocabulary

    def choose(are_whole: bool) -> None:
        monkeypatch.setattr(
            bertune.training.refitting, "restrict_vocabulary", (lambda *_: None) if are_whole else compact
        )

    return choose


def without_norms(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "grad_norm"} for line in without_times(run)]


def assert_equal_runs(found: Run, expected: Run) -> None:
    """Weights, losses, predictions and scores are equal bit for bit."""
    assert without_norms(found) == without_norms(expected)
    for file in ("model/model.safetensors", "predictions/validation.jsonl", "predictions/test.jsonl"):
        assert (found.path / file).read_bytes() == (expected.path / file).read_bytes(), file
    assert found.manifest["scores"] == expected.manifest["scores"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_and_its_checkpoints_equal_those_with_full_tables_bit_for_bit(
    family: str, changes: Any, texts: Any, whole_tables: Any, tmp_path: Path
) -> None:
    runs = {}
    for kind in ("compact", "whole"):
        whole_tables(kind == "whole")
        stopped_after(Path(texts["train"]), tmp_path / kind, changes(family), 5)
        runs[kind] = read_checkpoints(tmp_path / kind)
    assert_equal_checkpoints(runs["compact"], runs["whole"])
    for kind in ("compact", "whole"):  # each continues what the other began
        whole_tables(kind == "compact")
        runs[kind], _ = train(Path(texts["train"]), tmp_path / kind, changes(family), resume=True)
    assert_equal_runs(runs["compact"], runs["whole"])


def read_checkpoints(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    found = {
        str(path.relative_to(run)): load_file(path)
        for path in sorted(run.glob("checkpoints/**/*.safetensors"))
    }
    assert any("best-" in name for name in found) and sum("step-" in name for name in found) == 4
    return found


def assert_equal_checkpoints(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for file, tensors in expected.items():
        assert found[file].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(found[file][name], tensor), f"{file}: {name}"
    # The word embeddings and their two moments are complete.
    size = (_WORDS, _HIDDEN)
    last = expected["checkpoints/step-00000005/model.safetensors"]
    moments = expected["checkpoints/step-00000005/optimizer.safetensors"]
    assert [t.shape for name, t in last.items() if name.endswith(TABLE)] == [size]
    assert sum(t.shape == size for t in moments.values()) == 2
    # Words in no text have not been trained, but have decayed since the previous checkpoint.
    name = next(name for name in last if name.endswith(TABLE))
    before = expected["checkpoints/step-00000004/model.safetensors"][name]
    assert (last[name][200:].abs() < before[200:].abs()).float().mean() > 0.99


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_an_uninterrupted_run_equals_that_with_full_tables_bit_for_bit(
    family: str, changes: Any, texts: Any, whole_tables: Any, tmp_path: Path
) -> None:
    found, _ = train(Path(texts["train"]), tmp_path / "compact", changes(family))
    whole_tables(True)
    expected, _ = train(Path(texts["train"]), tmp_path / "whole", changes(family))
    assert_equal_runs(found, expected)


def test_with_gradient_clipping_results_are_equal_up_to_rounding(
    changes: Any, texts: Any, whole_tables: Any, tmp_path: Path
) -> None:
    clipped = changes("bert", **{"optimizer.max_grad_norm": 0.05})
    found, _ = train(Path(texts["train"]), tmp_path / "compact", clipped)
    whole_tables(True)
    expected, _ = train(Path(texts["train"]), tmp_path / "whole", clipped)
    norms = [[line["grad_norm"] for line in run.metrics()] for run in (found, expected)]
    assert min(norms[1]) > 0.05, "every step is clipped"
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    weights = [load_file(run.model_path / "model.safetensors") for run in (found, expected)]
    for name, tensor in weights[1].items():
        # The bias of the keys has no effect, and Adam turns its rounding errors into large steps.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(weights[0][name], tensor, atol=1e-5, rtol=0)


def test_a_trained_model_keeps_embeddings_of_unused_words(
    changes: Any, texts: Any, whole_tables: Any, tmp_path: Path
) -> None:
    unseen = ["great clock garden", "zyzzyva", "a broken clock with 7 !", "[MASK] [PAD] [SEP]"]
    probabilities = []
    for kind in ("compact", "whole"):
        whole_tables(kind == "whole")
        settings = {k: v for k, v in changes("bert").items() if not k.startswith("data.")}
        run = bertune.train(texts["train"], settings=settings, out=tmp_path / kind)
        probabilities.append(bertune.predict(run, unseen))
    assert probabilities[0] == probabilities[1]


def bert(**more: Any) -> Any:
    torch.manual_seed(2)
    return transformers.BertForSequenceClassification(transformers.BertConfig(**_SIZES | more)).eval()


def test_a_frozen_table_is_not_reduced() -> None:
    hf = bert()
    hf.base_model.embeddings.requires_grad_(False)
    restrict_vocabulary(hf, hf.base_model, np.arange(9))
    assert type(hf.get_input_embeddings()) is nn.Embedding and not tables(hf)


def test_a_tied_table_is_not_reduced() -> None:
    torch.manual_seed(2)
    hf = transformers.BertForMaskedLM(transformers.BertConfig(**_SIZES))
    assert hf.cls.predictions.decoder.weight is hf.get_input_embeddings().weight
    restrict_vocabulary(hf, hf.base_model, np.arange(9))
    assert type(hf.get_input_embeddings()) is nn.Embedding and not tables(hf)


def test_a_custom_embedding_module_is_not_reduced() -> None:
    class Own(nn.Embedding):
        pass

    hf = bert()
    hf.set_input_embeddings(Own(_WORDS, _HIDDEN))
    restrict_vocabulary(hf, hf.base_model, np.arange(9))
    assert type(hf.get_input_embeddings()) is Own


def test_an_unused_word_is_an_error() -> None:
    hf = bert()
    restrict_vocabulary(hf, hf.base_model, np.arange(9))
    with pytest.raises(IndexError):
        hf(input_ids=torch.tensor([[2, 9, 3]]))


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet"])
def test_padding_is_always_in_use(family: str) -> None:
    torch.manual_seed(2)
    hf = transformers.AutoModelForSequenceClassification.from_config(FAMILIES[family]()).eval()
    ids = torch.tensor([[5, 9, 7, 9], [6, 9, hf.config.pad_token_id, hf.config.pad_token_id]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    expected = hf(input_ids=ids, attention_mask=mask).logits
    restrict_vocabulary(hf, hf.base_model, np.array([5, 6, 7, 9]))
    (compact,) = tables(hf)
    assert len(compact.weight) == 5
    assert torch.equal(hf(input_ids=ids, attention_mask=mask).logits, expected)
    restore_vocabulary(hf.base_model)
    assert hf.get_input_embeddings().padding_idx == hf.config.pad_token_id
    assert torch.equal(hf(input_ids=ids, attention_mask=mask).logits, expected)


def test_a_padding_row_only_decays_like_in_the_full_table() -> None:
    table = nn.Embedding(20, 16, padding_idx=3)
    nn.init.normal_(table.weight)
    compact = CompactEmbedding(
        nn.Embedding.from_pretrained(table.weight.clone(), False, 3), torch.tensor([3, 7])
    )
    for embedding in (table, compact):
        embedding(torch.tensor([3, 7, 3])).pow(2).sum().backward()
    assert table.weight.grad is not None and compact.weight.grad is not None
    assert torch.equal(compact.weight.grad, table.weight.grad[[3, 7]])
    assert not compact.weight.grad[0].any() and compact.weight.grad[1].all()


@pytest.mark.parametrize("asked_every", [1, 4, 11])
def test_weight_decay_of_unused_rows_can_be_applied_in_pieces(asked_every: int) -> None:
    torch.manual_seed(3)
    dense = nn.Embedding(40_000, 16)  # more elements than are updated at a time
    ids = torch.tensor([1, 5, 39_999])
    compact = CompactEmbedding(nn.Embedding.from_pretrained(dense.weight.detach().clone(), False), ids)
    options: dict[str, Any] = {"weight_decay": 0.31, "fused": True}
    optimizers = [torch.optim.AdamW(e.parameters(), **options) for e in (dense, compact)]
    for step in range(1, 12):
        lr = 0.017 / step if step != 4 else 0.0
        for embedding, optimizer in zip((dense, compact), optimizers, strict=True):
            optimizer.zero_grad()
            (embedding(ids) * (step % 3 - 0.7)).pow(2).sum().backward()
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
        compact.note_step(lr, 0.31)
        if step % asked_every == 0:
            assert torch.equal(compact.whole(), dense.weight)
    assert torch.equal(compact.state_dict()["weight"], dense.weight)
    assert torch.equal(compact.plain().weight, dense.weight)


def test_scattered_rows_can_be_gathered_again() -> None:
    compact = CompactEmbedding(nn.Embedding(50, 4), torch.tensor([0, 7, 49]))
    rows = torch.arange(12.0).view(3, 4) + 1
    whole = compact.spread(rows)
    assert whole.shape == (50, 4)
    assert torch.equal(compact.gather(whole), rows)
    assert int((whole != 0).sum()) == 12


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_scattered_rows_use_only_their_own_memory() -> None:
    num_words = 500_000
    compact = CompactEmbedding(
        nn.Embedding(num_words, 64, _weight=torch.zeros(num_words, 64)), torch.arange(9)
    )
    before = resident_bytes()
    whole = compact.spread(torch.ones(9, 64))
    assert float(whole.sum()) == 9 * 64  # as when the model is saved
    assert resident_bytes() - before < whole.nbytes / 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_saved_table_is_mapped_from_its_file_and_decays_from_there(tmp_path: Path) -> None:
    num_words = 300_000
    start = torch.randn(num_words, 64)
    compact = CompactEmbedding(nn.Embedding(num_words, 64, _weight=start.clone()), torch.arange(9))
    model = nn.ModuleDict({"words": compact})
    compact.note_step(0.1, 0.5)
    save_file({"words.weight": compact.whole()}, tmp_path / "best.safetensors")
    written = (tmp_path / "best.safetensors").read_bytes()
    before = resident_bytes()
    rebase_on_file(model, load_file(tmp_path / "best.safetensors"))
    assert before - resident_bytes() > 0.9 * start.nbytes
    with torch.no_grad():
        compact.weight += 1
    compact.note_step(0.2, 0.5)
    whole = compact.whole()
    assert torch.equal(whole[9:], start[9:] * 0.95 * 0.9)
    assert torch.equal(whole[:9], start[:9] + 1)
    assert (tmp_path / "best.safetensors").read_bytes() == written, "training goes on in memory alone"


def resident_bytes() -> int:
    """The memory of this process without mapped files: its private pages and those it may share."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))


def large(folder: Path, num_words: int) -> Path:
    """A model with `num_words` word embeddings, and a tokenizer with only the first hundred words."""
    folder.mkdir()
    transformers.BertConfig(**_SIZES | {"vocab_size": num_words, "hidden_size": 64}).save_pretrained(folder)
    write_vocabulary(folder)
    return folder


def test_training_holds_a_single_full_table(texts: Any, changes: Any, tmp_path: Path) -> None:
    num_words = 20_011
    settings = changes("bert", **{"model.name": str(large(tmp_path / "model", num_words))})

    def full_tables() -> Iterator[torch.Tensor]:
        for thing in gc.get_objects():
            if type(thing) in (torch.Tensor, nn.Parameter):
                both = (thing, thing.grad)
                yield from (t for t in both if t is not None and t.nbytes >= num_words * 64 * 4)

    others = list(full_tables())  # of other tests of this process; kept, so that their memory is not reused
    apart = {t.untyped_storage().data_ptr() for t in others}
    for event in train_source(resolve_source(texts["train"], settings), tmp_path / "run"):
        if isinstance(event, Stepped) and event.step.number in (1, 8):
            storages = {t.untyped_storage().data_ptr() for t in full_tables()} - apart
            assert len(storages) == 1, event.step.number


@pytest.mark.slow  # two trainings in processes
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the processes are forked there only")
def test_a_larger_vocabulary_needs_one_more_table_and_a_second_while_saving(
    texts: Any, changes: Any, tmp_path: Path
) -> None:
    commands = {}
    for num_words in (10_000, 200_000):
        folder = tmp_path / str(num_words)
        settings = changes("bert", **{"model.name": str(large(folder, num_words))})
        words = ("train", texts["train"], *as_arguments(settings), "--out", folder / "run")
        commands[folder] = Command(tmp_path / folder.name, *words)
    assert [command.end().code for command in commands.values()] == [0, 0]
    few, many = (Run(folder / "run").manifest["peak_memory_mb"] for folder in commands)
    # Training the whole table needs three more of them: a gradient and two moments.
    assert many - few < 2.5 * 190_000 * 64 * 4 / 2**20
