"""Damaged and forged model folders cause one error that names file and key, and no predictions."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from strangers import edit_json, reseal

import bertune as bt
from tiny import Result, bertune, reviews, write_csv

Json = dict[str, Any]
Model = Callable[[], Path]


def refused(said: Result, *seen: str) -> None:
    """Asserts that a command failed with one input error that contains all of the given words."""
    assert said.code == 3, (said.code, said.out, said.err)
    assert len(re.findall("^error: ", said.err, re.MULTILINE)) == 1 and "Traceback" not in said.err, said.err
    for word in seen:
        assert word in said.err, said.err
    assert said.out == ""


def change_byte(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[min(len(data) - 1, int(len(data) * place))] ^= 1
    path.write_bytes(data)


class TestChecksums:
    """Every file of a saved model is verified when it is loaded."""

    @pytest.mark.parametrize("place", [0.0, 0.3, 0.999])
    def test_one_bit_of_any_file_is_noticed(self, place: float, clean_run: Path, tmp_path: Path) -> None:
        for file in sorted((clean_run / "model").iterdir()):
            if file.name == "README.md":  # the model card, which users edit
                continue
            folder = tmp_path / file.name
            shutil.copytree(clean_run / "model", folder)
            change_byte(folder / file.name, place)
            refused(bertune("predict", folder, "-", stdin="good\n"), file.name)

    def test_a_zeroed_tail_an_empty_and_an_absent_file_are_noticed(self, run: Path, tmp_path: Path) -> None:
        weights = run / "model" / "model.safetensors"
        whole = weights.read_bytes()
        csv = write_csv(tmp_path / "x.csv", reviews(4))
        for damaged in (whole[:-100] + bytes(100), whole[:200], b"", None):
            weights.unlink(missing_ok=True)
            if damaged is not None:
                weights.write_bytes(damaged)
            refused(bertune("predict", run, "-", stdin="good\n"), "model.safetensors", "train again")
            refused(bertune("evaluate", run, csv), "model.safetensors")
            refused(bertune("report", run), "model.safetensors")
            refused(bertune("train", run, "--resume"), "model.safetensors")
            with pytest.raises(bt.BertuneError, match=r"model\.safetensors"):
                bt.load(run)

    def test_the_encoder_of_a_training_is_verified_too(
        self, model: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        change_byte(model / "model.safetensors", 0.9)
        refused(
            bertune("train", train_csv, f"model.name={model}", "--out", tmp_path / "run"), "model.safetensors"
        )

    def test_a_model_of_an_earlier_version_has_no_checksums_and_loads(self, model: Path) -> None:
        def as_format_1(stored: Json) -> Json:
            return {k: v for k, v in stored.items() if k not in ("files", "checksum")} | {"format": 1}

        edit_json(model / "bertune.json", as_format_1)
        assert len(bertune("predict", model, "-", stdin="good\n").fine().lines) == 1

    def test_other_files_may_be_added(self, model: Path) -> None:
        (model / "README.md").write_text("# My model")
        bertune("predict", model, "-", stdin="good\n").fine()


class TestNumbers:
    """Weights and outputs that are not finite never become predictions."""

    @pytest.fixture
    def spoiled(self, model: Path) -> Callable[[str, float], None]:
        def spoil(name: str, value: float) -> None:
            tensors = load_file(model / "model.safetensors")
            tensors[name].view(-1)[0] = value
            save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
            reseal(model)

        return spoil

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_weights_that_are_not_finite_are_refused(self, value: float, model: Path, spoiled: Any) -> None:
        spoiled("classifier.weight", value)
        refused(bertune("predict", model, "-", stdin="good\n"), "classifier.weight", "NaN or infinite")
        with pytest.raises(bt.BertuneError, match=r"classifier\.weight"):
            bt.load(model)

    def test_an_encoder_with_such_weights_is_not_trained(
        self, encoder: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        tensors = load_file(encoder / "model.safetensors")
        next(t for name, t in sorted(tensors.items()) if "LayerNorm" in name)[0] = float("nan")
        save_file(tensors, encoder / "model.safetensors", metadata={"format": "pt"})
        refused(bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "run"), "NaN")
        assert not (tmp_path / "run").exists()

    def test_outputs_that_overflow_are_refused_with_the_first_row(
        self, model: Path, spoiled: Any, tmp_path: Path
    ) -> None:
        """All weights are finite, but their products are not."""
        spoiled("classifier.weight", 3e38)
        tensors = load_file(model / "model.safetensors")
        tensors["bert.pooler.dense.bias"].fill_(3e38)
        tensors["classifier.weight"].fill_(3e38)
        save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
        reseal(model)
        csv = write_csv(tmp_path / "rows.csv", reviews(6))
        for verb in ("predict", "evaluate"):
            refused(bertune(verb, model, csv), "rows.csv, line 2", "NaN or infinite")
        out = tmp_path / "out.jsonl"
        refused(bertune("predict", model, csv, "--out", out), "line 2")
        assert not out.exists(), "nothing half-written is left"
        with pytest.raises(bt.BertuneError, match="NaN or infinite"):
            bt.load(model).predict(["good phone"])

    def test_a_column_of_the_users_that_is_not_a_number_stays_json(self, model: Path, tmp_path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"text": ["good", "bad"], "price": [float("nan"), 2.5]})
        pq.write_table(table, tmp_path / "x.parquet")
        said = bertune("predict", model, tmp_path / "x.parquet").fine()
        strict = [json.loads(line, parse_constant=pytest.fail) for line in said.out.splitlines()]
        assert [line["price"] for line in strict] == [None, 2.5]


CONFIG: list[tuple[str, Any]] = [
    ("num_attention_heads", 0), ("num_attention_heads", -2), ("num_attention_heads", 5),
    ("hidden_size", "x"), ("hidden_size", 0), ("hidden_size", 10**9), ("hidden_size", None),
    ("hidden_act", "os.system"), ("hidden_act", 5), ("num_hidden_layers", 0), ("num_hidden_layers", 1e9),
    ("num_hidden_layers", 10**9), ("num_hidden_layers", [1]), ("intermediate_size", 0),
    ("pad_token_id", 10**9), ("pad_token_id", -1), ("pad_token_id", "x"), ("id2label", 5),
    ("id2label", [1, 2]),
    ("id2label", {"a": "b"}), ("label2id", {"a": "b"}), ("vocab_size", 0), ("vocab_size", 10**12),
    ("vocab_size", 3), ("max_position_embeddings", -1), ("max_position_embeddings", "y"),
    ("type_vocab_size", -3), ("quantization_config", {"quant_method": "bitsandbytes"}),
    ("model_type", "t5"), ("model_type", 5), ("model_type", None), ("model_type", "no-such-family"),
    ("layer_norm_eps", "x"), ("hidden_dropout_prob", "x"), ("hidden_dropout_prob", 7),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), CONFIG, ids=lambda v: str(v)[:20])
def test_a_wrong_value_in_config_json_is_refused_with_its_file(
    key: str, value: Any, model: Path, encoder: Path, train_csv: Path, tmp_path: Path
) -> None:
    for folder in (model, encoder):
        edit_json(folder / "config.json", lambda content: content | {key: value})
    reseal(model)
    refused(bertune("predict", model, "-", stdin="good\n"), str(model))
    refused(bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "run"), str(encoder))


@pytest.mark.parametrize(
    ("key", "value"),
    [("dtype", "nonsense"), ("torch_dtype", 5), ("attn_implementation", "evil/kernel"), ("extra", {"a": 1})],
)
def test_values_that_bertune_sets_are_not_read_from_config_json(key: str, value: Any, model: Path) -> None:
    """`evil/kernel` would make transformers download code from the Hub."""
    edit_json(model / "config.json", lambda content: content | {key: value})
    reseal(model)
    bertune("predict", model, "-", stdin="good\n").fine()


BERTUNE: list[tuple[str, Any, str]] = [
    ("labels", ["good"], "outputs"), ("labels", ["a", "b", "c"], "outputs"), ("labels", [1, 2], "labels"),
    ("labels", ["a", "a"], '"a" twice'), ("labels", "ab", "labels"), ("labels", None, "labels"),
    ("max_length", "x", "max_length"), ("max_length", -5, "max_length"), ("max_length", 0, "max_length"),
    ("max_length", 1, "max_length"), ("max_length", 2, "max_length"), ("max_length", None, "max_length"),
    ("max_length", 10**12, "max_length"), ("max_length", True, "max_length"), ("columns", 5, "columns"),
    ("columns", {"text": [5], "label": None, "id": None}, "columns.text"),
    ("columns", {"text": [], "label": None, "id": None}, "columns.text"),
    ("columns", {"text": ["a"], "label": 3, "id": None}, "columns.label"), ("reading", [], "reading"),
    ("reading", {"encoding": 5, "suffix": 5}, "reading"), ("reading", {"reader": []}, "reading"),
    ("reading", {"nonsense": 1}, "reading"), ("head", 5, "head"), ("head", "nonsense", "nonsense"),
    ("task", {"name": "regression"}, "outputs"), ("task", {"name": "nonsense"}, "nonsense"),
    ("task", {"name": 5}, "task"), ("task", [], "task"),
    ("task", {"name": "classification", "x": 1}, "task.x"),
    ("precision", "int3", "precision"), ("precision", 5, "precision"), ("format", -1, "format"),
    ("format", "2", "format"), ("format", 99, "Upgrade"), ("own_files", [1], "own_files"),
    ("files", 5, "files"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "seen"), BERTUNE, ids=lambda v: str(v)[:20])
def test_a_wrong_value_in_bertune_json_is_refused_with_its_key(
    key: str, value: Any, seen: str, model: Path
) -> None:
    if key == "files":
        from bertune.files import sealed

        edit_json(model / "bertune.json", lambda stored: sealed(stored | {key: value}))
    else:
        reseal(model, lambda stored: stored | {key: value})
    refused(bertune("predict", model, "-", stdin="good\n"), seen)


@pytest.mark.parametrize("key", ["labels", "max_length", "columns", "reading", "task", "head", "format"])
def test_a_missing_key_is_named(key: str, model: Path) -> None:
    reseal(model, lambda stored: {k: v for k, v in stored.items() if k != key})
    refused(bertune("predict", model, "-", stdin="good\n"), key)


def set_vocabulary(content: Json, change: Callable[[dict[str, int]], object]) -> None:
    change(content["model"]["vocab"])


TOKENIZER: list[tuple[str, Callable[[Json], Any]]] = [
    ("an id beyond the vocabulary", lambda c: set_vocabulary(c, lambda v: v.update({"good": 5000}))),
    ("an id beyond 32 bits", lambda c: set_vocabulary(c, lambda v: v.update({"good": 2**31}))),
    ("a negative id", lambda c: set_vocabulary(c, lambda v: v.update({"good": -1}))),
    ("no vocabulary", lambda c: set_vocabulary(c, lambda v: v.clear())),
    ("a list for a vocabulary", lambda c: c["model"].update({"vocab": [1]})),
    ("no model", lambda c: c.update({"model": None})),
    ("another model", lambda c: c["model"].update({"type": "Nonsense"})),
    ("nothing", lambda c: {"x": 1}),
]


@pytest.mark.parametrize(("what", "change"), TOKENIZER, ids=[name for name, _ in TOKENIZER])
def test_a_broken_tokenizer_is_refused_with_its_folder(
    what: str, change: Any, model: Path, encoder: Path, train_csv: Path, tmp_path: Path
) -> None:
    for folder in (model, encoder):
        edit_json(folder / "tokenizer.json", change)
    reseal(model)
    refused(bertune("predict", model, "-", stdin="good bad great\n"), str(model))
    refused(bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "run"), str(encoder))


@pytest.mark.parametrize("text", ["[]", "5", "{", "", "null", '{"auto_map": 5, "mask_token": 3}', "\xff"])
@pytest.mark.parametrize("file", ["tokenizer_config.json", "config.json", "tokenizer.json"])
def test_a_file_that_is_not_an_object_is_refused(file: str, text: str, model: Path) -> None:
    (model / file).write_text(text, encoding="latin-1")
    reseal(model)
    remedy = "" if "auto_map" in text else "Restore the folder from a copy or download it again"
    refused(bertune("predict", model, "-", stdin="good\n"), str(model), remedy)


@pytest.mark.parametrize(
    "file", ["tokenizer_config.json", "config.json", "tokenizer.json", "model.safetensors.index.json"]
)
def test_a_pretrained_folder_with_invalid_json_is_refused_with_a_remedy(
    file: str, encoder: Path, train_csv: Path, tmp_path: Path
) -> None:
    (encoder / file).write_text("{")
    said = bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "run")
    refused(said, str(encoder), "download it again, or use another model")


@pytest.mark.parametrize("file", ["tokenizer.json", "config.json", "bertune.json"])
def test_a_json_file_too_large_for_memory_is_refused_without_reading_it(file: str, model: Path) -> None:
    with (model / file).open("r+b") as damaged:
        damaged.truncate(600 << 20)  # a sparse file, which takes no disk space
    refused(bertune("predict", model, "-", stdin="good\n"), file)


def test_a_tensor_with_a_different_shape_is_refused(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors["classifier.weight"] = torch.zeros(7, tensors["classifier.weight"].shape[1])
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    reseal(model)
    refused(bertune("predict", model, "-", stdin="good\n"), "classifier")
