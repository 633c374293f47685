"""No code in a model folder, a run or a settings file is executed, and no pickle is loaded."""

import ast
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from strangers import add_code, edit_json, reseal

import bertune as bt
from tiny import BIN, QUICK, bertune, process

SOURCE = Path(__file__).parents[2] / "src" / "bertune"
CONSENT = "the food was great\nwould you buy again?\ny\nyes\n1\nnice\n"
PARTS = [
    pytest.param({"config": True, "tokenizer": False}, "config.json", id="config"),
    pytest.param({"config": False, "tokenizer": True}, "tokenizer_config.json", id="tokenizer"),
    pytest.param({"config": True, "tokenizer": True}, "config.json", id="both"),
]


@pytest.mark.parametrize(("parts", "seen"), PARTS)
def test_lines_on_standard_input_are_not_consent_to_run_code(
    parts: dict[str, bool], seen: str, model: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    add_code(model, mark, **parts)
    reseal(model)
    if len(parts) == sum(parts.values()):
        said = process(BIN, "predict", model, "-", cwd=tmp_path, stdin=CONSENT)
    else:
        said = bertune("predict", model, "-", stdin=CONSENT)
    assert not mark.exists(), "code from a model folder ran"
    assert said.code == 3, said.err
    assert said.err.count("error:") == 1 and seen in said.err and "never runs code" in said.err
    assert "y/N" not in said.err + said.out and "Traceback" not in said.err


@pytest.mark.parametrize(("parts", "seen"), PARTS)
@pytest.mark.parametrize("verb", ["train", "check"])
def test_code_of_an_encoder_is_not_executed(
    parts: dict[str, bool], seen: str, verb: str, encoder: Path, train_csv: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    add_code(encoder, mark, **parts)
    out = ("--out", tmp_path / "run") if verb == "train" else ()
    said = bertune(verb, train_csv, f"model.name={encoder}", *out, stdin="yes\n" * 50)
    assert not mark.exists(), "code from a model folder ran"
    assert said.code == 3 and seen in said.err and "never runs code" in said.err, said.err


@pytest.mark.parametrize(("parts", "seen"), PARTS)
def test_the_library_neither_executes_code_nor_asks(
    parts: dict[str, bool],
    seen: str,
    model: Path,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setattr("builtins.input", lambda *question: pytest.fail(f"asked: {question}"))
    for folder in (model, encoder):
        add_code(folder, mark, **parts)
    reseal(model)
    with pytest.raises(bt.BertuneError, match="never runs code"):
        bt.load(model)
    overrides = {"model.name": str(encoder)}
    with pytest.raises(bt.BertuneError, match="never runs code"):
        bt.train(["good", "bad"] * 10, ["a", "b"] * 10, settings=overrides, out=tmp_path / "run")
    assert not mark.exists() and not (tmp_path / "run").exists()


def test_code_next_to_a_built_in_family_is_ignored(encoder: Path, train_csv: Path, tmp_path: Path) -> None:
    """Many published folders contain both; bertune uses transformers' class."""
    mark = tmp_path / "mark"
    add_code(encoder, mark, config=False, tokenizer=False)
    wishes = {"AutoConfig": "evil.EvilConfig", "AutoModelForSequenceClassification": "evil.EvilModel"}
    edit_json(encoder / "config.json", lambda content: content | {"auto_map": wishes})
    bertune("train", train_csv, f"model.name={encoder}", *QUICK, "--out", tmp_path / "run").fine()
    assert not mark.exists()
    saved = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert "auto_map" not in saved, "a wish for code would be passed on"


def test_a_library_that_prompts_on_standard_input_gets_no_answer(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bertune import saved_model

    heard: list[str] = []
    load = saved_model.load

    def asking(*arguments: Any) -> Any:
        heard.append(sys.stdin.readline())
        return load(*arguments)

    monkeypatch.setattr("bertune.saved_model.load", asking)
    said = bertune("predict", model, "-", stdin="yes\nlovely phone\n").fine()
    assert heard == [""]
    assert [line["text"] for line in said.lines] == ["yes", "lovely phone"], "a line was eaten"


def test_configurations_and_tokenizers_are_read_in_one_place_only() -> None:
    """Other call sites could omit `trust_remote_code=False`, and transformers would prompt the user."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in {"from_pretrained", "from_config"}:
                continue
            owner = ast.unparse(node.func.value)
            given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            is_bench = path.relative_to(SOURCE).parts[0] == "bench"  # loads what the user's own bench made
            if owner in {"AutoConfig", "AutoTokenizer"} and path.name != "hugging_face.py" and not is_bench:
                found.append(f"{path.relative_to(SOURCE)}, line {node.lineno}: {owner}")
            if given.get("trust_remote_code", True) is not False:
                found.append(
                    f"{path.relative_to(SOURCE)}, line {node.lineno}: without trust_remote_code=False"
                )
    assert not found


class TestPickles:
    """`model.safetensors.index.json` maps tensors to files; only plain file names are accepted."""

    @pytest.mark.parametrize(
        "name",
        [
            "pytorch_model.bin", "../outside.safetensors", "/etc/outside.safetensors", "sub/x.safetensors",
            "..\\outside.safetensors", ".safetensors", "weights.pt", "",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("whose", ["model", "encoder"])
    def test_an_index_that_refers_to_other_files_is_refused(
        self, whose: str, name: str, model: Path, encoder: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        folder = {"model": model, "encoder": encoder}[whose]
        weights = folder / "model.safetensors"
        shutil.copy(weights, tmp_path / "outside.safetensors")
        (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
        weights.rename(folder / "empty.safetensors")
        index = {"metadata": {}, "weight_map": {"bert.embeddings.word_embeddings.weight": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        if whose == "model":
            reseal(model)
            said = bertune("predict", model, "-", stdin="good\n")
        else:
            said = bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "run")
        assert said.code == 3, said.err
        assert said.err.count("error:") == 1 and "index.json" in said.err and "Traceback" not in said.err

    def test_weights_in_several_safetensors_still_load(
        self, encoder: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(encoder / "model.safetensors")
        (encoder / "model.safetensors").unlink()
        names = sorted(tensors)
        halves = {
            "model-00001-of-00002.safetensors": names[::2],
            "model-00002-of-00002.safetensors": names[1::2],
        }
        for file, own in halves.items():
            save_file({name: tensors[name] for name in own}, encoder / file, metadata={"format": "pt"})
        weight_map = {name: file for file, own in halves.items() for name in own}
        index = {"metadata": {}, "weight_map": weight_map}
        (encoder / "model.safetensors.index.json").write_text(json.dumps(index))
        bertune("check", train_csv, f"model.name={encoder}").fine()
        bertune("train", train_csv, f"model.name={encoder}", *QUICK, "--out", tmp_path / "run").fine()

    def test_an_adapter_is_refused_without_locating_its_base_model(
        self, encoder: Path, train_csv: Path, tmp_path: Path
    ) -> None:
        (encoder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
        said = bertune("train", train_csv, f"model.name={encoder}", "--out", tmp_path / "run")
        assert said.code == 3 and "adapter" in said.err and "merge" in said.err


class TestSettingsFiles:
    """Settings files are shared between people, so code that they name is not run without consent."""

    @pytest.fixture
    def settings(self, tmp_path: Path, train_csv: Path, tiny_weights: Path) -> Path:
        mark = tmp_path / "mark"
        (tmp_path / "evil.py").write_text(
            f"from pathlib import Path\nPath({str(mark)!r}).write_text('ran')\n"
            "from bertune.data.readers.delimited import SUFFIXES, read\n"
            "from bertune.nn.heads.first_token import HEAD\n"
            "from bertune.tasks.classification.task import TASK\n"
        )
        return tmp_path / "mine.toml"

    @pytest.mark.parametrize(("section", "key"), [("data", "reader"), ("task", "name"), ("model", "head")])
    def test_code_is_executed_only_if_the_user_names_it(
        self, section: str, key: str, settings: Path, tiny_weights: Path, tmp_path: Path
    ) -> None:
        tables: dict[str, dict[str, Any]] = {
            "data": {"train": "train.csv", "header": True, "delimiter": ",", "quoting": True},
            "model": {"name": str(tiny_weights)},
            "train": {"epochs": 1, "batch_size": 16},
        }
        tables.setdefault(section, {})[key] = "evil.py"
        lines = [
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items())
            for name, values in tables.items()
        ]
        settings.write_text("\n".join(lines))
        said = bertune("train", settings, "--out", tmp_path / "run")
        assert not (tmp_path / "mark").exists(), "code ran unasked"
        assert said.code == 3 and f"{section}.{key}={tmp_path / 'evil.py'}" in said.err, said.err
        assert bertune("check", settings).code == 3
        with pytest.raises(bt.BertuneError, match="only if you name it"):
            bt.train(str(settings), out=tmp_path / "run")
        bertune(
            "train", settings, f"{section}.{key}={tmp_path / 'evil.py'}", "--out", tmp_path / "run"
        ).fine()
        assert (tmp_path / "mark").exists()

    def test_an_untrusted_run_executes_nothing(self, run: Path, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        (run / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
        reseal(
            run / "model",
            lambda s: s | {"task": {"name": str(run / "evil.py")}, "head": str(run / "evil.py")},
        )
        for verb in (("predict", run, "-"), ("evaluate", run, tmp_path / "x.csv")):
            said = bertune(*verb, stdin="good\n")
            assert said.code == 3 and "name it again" in said.err
        assert not mark.exists()
