"""Every example does what its first lines say, through the real command, on a random encoder."""

import json
import re
import runpy
from pathlib import Path

import pytest

from bertune.settings import known_keys, read_toml
from tiny import QUICK, bertune, reviews, write_csv

EXAMPLES = Path(__file__).parents[2] / "examples"
CHINESE_PAIRS = (
    ("你好", "您好", 1), ("你好", "你家住哪", 0), ("早上好", "早安", 1), ("早上好", "几点了", 0),
    ("谢谢", "多谢", 1), ("谢谢", "多少钱", 0), ("再见", "拜拜", 1), ("再见", "吃了吗", 0),
)  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def reviews_file(here: Path) -> Path:
    return write_csv(here / "reviews.csv", reviews(40))


@pytest.fixture
def pairs_file(here: Path) -> Path:
    """A file with lines `label,text_a,text_b` and no header."""
    rows = [(label, first, second) for first, second, label in CHINESE_PAIRS]
    return write_csv(here / "train.csv", rows, header=None)


def test_a_custom_head_is_trained_saved_and_required_for_prediction(
    reviews_file: Path, tiny_weights: Path
) -> None:
    head = f"model.head={EXAMPLES / 'cls_linear_head.py'}"
    bertune("train", reviews_file, f"model.name={tiny_weights}", head, *QUICK).fine()
    assert Path("runs/reviews/model/head.safetensors").is_file()
    refused = bertune("predict", "runs/reviews", reviews_file)
    assert refused.code == 3
    assert "cls_linear_head.py" in refused.err
    predicted = bertune("predict", "runs/reviews", reviews_file, head).fine()
    assert len(predicted.lines) == 40


def test_the_example_head_equals_the_built_in_first_token_head(
    reviews_file: Path, tiny_weights: Path
) -> None:
    base = ("train", reviews_file, f"model.name={tiny_weights}", "machine.precision=fp32", "--json", *QUICK)
    own = bertune(*base, f"model.head={EXAMPLES / 'cls_linear_head.py'}", "--out", "own").fine()
    built_in = bertune(*base, "model.head=first_token", "--out", "built-in").fine()
    assert own.json["scores"] == built_in.json["scores"]


def test_a_custom_reader_gives_the_same_pairs_as_settings(pairs_file: Path, tiny_weights: Path) -> None:
    check = ("check", pairs_file, f"model.name={tiny_weights}", "data.validation_fraction=0.25", "--json")
    own = bertune(*check, f"data.reader={EXAMPLES / 'label_text_pair_reader.py'}").fine().json["data"]
    without = bertune(*check, "data.header=false", "data.label=0", "data.text=1,2").fine().json["data"]
    assert own["columns"]["text"] == ["text_a", "text_b"]
    assert own["splits"]["train"]["sha256"] == without["splits"]["train"]["sha256"]
    assert own["splits"]["train"]["labels"] == {"1": 3, "0": 3}


def test_a_custom_reader_refuses_a_short_line_with_its_number(pairs_file: Path, tiny_weights: Path) -> None:
    with pairs_file.open("a", encoding="utf-8") as file:
        file.write("1,你好\n")
    reader = f"data.reader={EXAMPLES / 'label_text_pair_reader.py'}"
    refused = bertune("train", pairs_file, f"model.name={tiny_weights}", reader)
    assert refused.code == 3
    assert "train.csv, line 9: expected 3 cells (label,text_a,text_b), found 2" in refused.err


def test_a_pair_model_accepts_tab_separated_texts(pairs_file: Path, tiny_weights: Path) -> None:
    columns = ("data.header=false", "data.label=0", "data.text=1,2", "data.validation_fraction=0.25")
    bertune("train", pairs_file, f"model.name={tiny_weights}", *columns, *QUICK).fine()
    predicted = bertune("predict", "runs/train", "-", stdin="你好\t您好\n").fine()
    assert [line["text_b"] for line in predicted.lines] == ["您好"]


def test_the_custom_task_with_q_0_equals_classification(reviews_file: Path, tiny_weights: Path) -> None:
    base = ("train", reviews_file, f"model.name={tiny_weights}", "machine.precision=fp32", *QUICK)
    own = f"task.name={EXAMPLES / 'my_task.py'}"
    bertune(*base, "--out", "plain").fine()
    bertune(*base, own, "task.q=0", "--out", "zero").fine()
    bertune(*base, own, "task.q=0.7", "--out", "some").fine()
    plain, zero, some = (_losses(Path(run)) for run in ("plain", "zero", "some"))
    assert plain == zero
    assert plain[0] != some[0]


def _losses(run: Path) -> list[float]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_the_options_of_a_custom_task_are_validated(reviews_file: Path, tiny_weights: Path) -> None:
    own = f"task.name={EXAMPLES / 'my_task.py'}"
    refused = bertune("check", reviews_file, f"model.name={tiny_weights}", own, "task.qq=0.1")
    assert refused.code == 3
    assert 'Did you mean "task.q"?' in refused.err


def test_the_settings_file_trains(here: Path, tiny_folder: Path) -> None:
    small = (f"model.name={tiny_folder}", "model.max_length=64", "train.max_examples=60", *QUICK)
    result = bertune("train", EXAMPLES / "settings.toml", *small, "--json").fine().json
    assert Path(result["run"]).absolute() == here / "runs" / "settings"
    assert result["training"]["best"]["score"] == "accuracy"


def test_the_settings_file_contains_only_existing_settings() -> None:
    text = (EXAMPLES / "settings.toml").read_text(encoding="utf-8")
    commented = re.findall(r"^# (\w+) = ", text, re.MULTILINE)
    assert commented == ["train", "validation", "test", "text", "label"]
    tables = read_toml(EXAMPLES / "settings.toml")
    assert tables.pop("source") == "demo"
    given = {f"{section}.{key}" for section, values in tables.items() for key in values}
    assert given | {f"data.{key}" for key in commented} <= set(known_keys())


def test_the_python_example_trains_evaluates_and_predicts(
    here: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(EXAMPLES / "python_api.py"))
    script["main"](str(tiny_weights), here)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 5
    assert printed[0].startswith("validation accuracy:")
    assert all(re.match(r"(good|bad) \{'bad': ", line) for line in printed[1:3])
    assert printed[3].startswith("test accuracy:")
    assert printed[4].startswith("new data: 2 texts, accuracy")
    assert (here / "lists" / "report" / "index.html").is_file()
    assert (here / "table" / "predictions" / "test.jsonl").is_file()


def test_scikit_learn_searches_in_a_pipeline(
    tiny_weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / "scikit_learn_search.py"))["main"](str(tiny_weights))
    printed = capsys.readouterr().out.splitlines()
    assert float(printed[0].removeprefix("negative log loss, nested cross-validation: ")) < 0
    assert printed[1] in ("best learning rate: 2e-05", "best learning rate: 0.0002")
    assert printed[2].startswith("[False  True] [[")


def test_a_tracker_writes_every_step_to_a_csv_file(reviews_file: Path, tiny_weights: Path) -> None:
    tracker = EXAMPLES / "csv_tracker.py"
    bertune(
        "train", reviews_file, f"model.name={tiny_weights}", *QUICK, f"track.to={tracker}", "--out", "run"
    ).fine()
    lines = [line.split(",") for line in Path("run/values.csv").read_text().splitlines()]
    assert [line[0] for line in lines if line[1] == "train/loss"] == ["1", "2", "3"]
    assert lines[-1][1].startswith("final/validation/")


def test_a_small_encoder_for_chinese_texts_covers_every_character_and_trains(here: Path) -> None:
    texts = [text for first, second, _ in CHINESE_PAIRS for text in (first, second)]
    rows = [{"news": text, "label": number % 2} for number, text in enumerate(texts)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (here / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    script = runpy.run_path(str(EXAMPLES / "small_encoder.py"))
    script["main"](here / "train.jsonl", here / "small")

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(here / "small"))
    assert all(tokenizer.unk_token not in tokenizer.tokenize(text) for text in texts)
    result = bertune(
        "train", "train.jsonl", "model.name=small", "data.validation_fraction=0.25", *QUICK
    ).fine()
    assert "has no weights" in result.err
    predicted = bertune("predict", "runs/train", "-", stdin="谢谢\n").fine()
    assert predicted.lines[0]["news"] == "谢谢"
