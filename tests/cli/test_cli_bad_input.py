"""Invalid input: exit code 3, one error message with location and remedy, and no files."""

from pathlib import Path

import pytest

from tiny import bertune, contents, reviews, write_csv

ROWS = "".join(f"{text},{label}\n" for text, label in reviews(12))
TABLE = "text,label\n" + ROWS
CHINESE = "text,label\n" + "".join(
    f"这个手机很好，屏幕不错{i},好\n这个宾馆比较陈旧了{i},坏\n" for i in range(6)
)
LONG = "phone " * 70


def refusal(here: Path, *arguments: str) -> str:
    """The error message of a training, after checking that nothing else was printed or written."""
    before = contents(here)
    said = bertune("train", *arguments)
    assert said.code == 3, said.err
    assert said.out == ""
    assert contents(here) == before
    notes, _, message = said.err.partition("error: ")
    assert message and "error" not in notes and "error: " not in message and "Traceback" not in said.err
    return message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        pytest.param("", ["a.csv", "empty", "at least one row"], id="empty"),
        pytest.param(
            "text,label\n", ["a.csv", "no rows below its header", "at least one row"], id="header only"
        ),
        pytest.param(
            TABLE + "great phone\n", ["a.csv, line 14", "expected 2 cells", "found 1"], id="short row"
        ),
        pytest.param(
            TABLE + "great, really,good\n",
            ["a.csv, line 14", "found 3", "great, really,good", "quotes"],
            id="long row",
        ),
        pytest.param(
            TABLE + '"great phone,good\n' + ROWS,
            ["a.csv, line 14", "never closed", "data.quoting=false"],
            id="unclosed quote",
        ),
        pytest.param(
            CHINESE.encode("gb18030"), ["a.csv, line 2", "GB18030", "data.encoding=gb18030"], id="gb18030"
        ),
        pytest.param(
            CHINESE.encode("utf-16-le"), ["a.csv", "data.encoding=utf-16-le"], id="utf-16 without mark"
        ),
        pytest.param(TABLE + "gr\0at,good\n", ["a.csv, line 14", "NUL", "Remove the byte"], id="nul"),
        pytest.param(
            TABLE + "great phone,\n",
            ["a.csv, line 14", '"label"', "missing", "remove the row"],
            id="label missing",
        ),
        pytest.param(
            TABLE.replace(",bad", ",good"),
            ["a.csv", '"good"', "at least two", "data.label"],
            id="one class",
        ),
        pytest.param(
            TABLE + "great phone,odd\n",
            ["a.csv, line 14", '"odd"', "data.validation"],
            id="a class of one",
        ),
        pytest.param(TABLE + ",good\n", ["a.csv, line 14", '"text"', "empty"], id="empty text"),
        pytest.param(TABLE + '" \t ",good\n', ["a.csv, line 14", "empty"], id="blank text"),
        pytest.param(
            "text,label\n" + "".join(f"{i}.5,{'ab'[i % 2]}\n" for i in range(12)),
            ["a.csv, line 2", "number", '"0.5"', "data.text"],
            id="texts are numbers",
        ),
        pytest.param(
            "text,label\n" + "".join(f"great phone {i},id{i}\n" for i in range(30)),
            ["a.csv", "30 different labels", "data.label"],
            id="labels are ids",
        ),
        pytest.param(
            TABLE + f"{LONG},good\n",
            ["a.csv, line 14", "72 tokens", "64", "model.max_length=64"],
            id="longer than the model takes",
        ),
        pytest.param("text,text\ngreat,good\n", ["a.csv, line 1", '"text"', "header"], id="twin columns"),
        pytest.param(
            "a,b\ngreat phone,1\ndull lamp,0\n", ["a.csv", "data.text=", "data.label="], id="plain names"
        ),
    ],
)
def test_a_file_that_cannot_be_trained_on_is_refused(
    here: Path, quick: tuple[str, ...], content: str | bytes, parts: list[str]
) -> None:
    (here / "a.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    message = refusal(here, "a.csv", *quick)
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('{"text": "great", "label": 1}\n["dull", 0]\n', ["a.jsonl, line 2", "an object", "a list"]),
        ('{"text": "great", "label": 1}\n{"text": "dull"}\n', ["a.jsonl, line 2", '"label"', "missing"]),
        ('{"text": "great", "label": 1}\n{"text": "dull", "lable": 0}\n', ["line 2", '"lable"', '"label"']),
        ('{"text": "great", "label": 1}\n{"label": 0}\n', ["a.jsonl, line 2", '"text"', "is empty"]),
        (
            '{"text": "great", "label": 1}\n{"text": "dull, "label": 0}\n',
            ["a.jsonl, line 2", "not valid JSON", "column"],
        ),
        ('{"text": "great", "label": 1}\n{"text": "dull", "label": null}\n', ["a.jsonl, line 2", "missing"]),
        (
            '{"text": "great", "label": 1}\n{"text": ["dull"], "label": 0}\n',
            ["a.jsonl, line 2", '"text"', "list"],
        ),
        (
            '{"text": "great", "label": 1}\n{"text": "\\ud83d", "label": 0}\n',
            ["a.jsonl, line 2", "half a character"],
        ),
    ],
)
def test_json_lines_that_are_not_rows_are_refused(
    here: Path, quick: tuple[str, ...], content: str, parts: list[str]
) -> None:
    (here / "a.jsonl").write_text(content)
    message = refusal(here, "a.jsonl", *quick)
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["rewiews.csv"], ["rewiews.csv", '"reviews.csv"']),
        (["data/reviews.csv"], ["data/reviews.csv", "does not exist"]),
        (["folder"], ["folder", "Use a data file"]),
        (["colla"], ["colla", '"cola"']),
        (["reviews.xlsx"], ["reviews.xlsx"]),
        (["reviews.csv", "data.text=txt"], ["reviews.csv", '"txt"', '"text"', "data.text=txt"]),
        (["reviews.csv", "data.label=lable"], ["reviews.csv", '"lable"', '"label"']),
        (["reviews.csv", "data.label=7"], ["reviews.csv", '"7"', "from 0 to 1"]),
        (["reviews.csv", "data.id=key"], ["reviews.csv", '"key"', "data.id=key"]),
        (["reviews.csv", "data.text=label"], ["reviews.csv", "label"]),
        (["reviews.csv", "data.encoding=utf9"], ['"utf9"', "gb18030"]),
        (["reviews.csv", "data.validation=nowhere.csv"], ["nowhere.csv"]),
        (
            ["reviews.csv", "data.validation=odd.csv"],
            ["odd.csv, line 3", '"goood"', '"good"', "remove the row"],
        ),
        (["reviews.csv", "data.test=odd.csv"], ["odd.csv, line 3", '"goood"']),
        (["reviews.csv", "data.validation=pairs.csv"], ["pairs.csv", "data.text"]),
        (["pairs.csv", "data.validation=reviews.csv"], ["reviews.csv", "data.text"]),
        (["reviews.csv", "train.epoch=3"], ['"train.epoch"', '"train.epochs"']),
        (["reviews.csv", "train.epochs=many", "train.lr=fast"], ["train.epochs", "train.lr"]),
        (["reviews.csv", "train.epochs"], ['"train.epochs"', "key=value"]),
        (["reviews.csv", "train.best_metric=acuracy"], ["train.best_metric", "acuracy", "accuracy"]),
        (["reviews.csv", "train.freeze=3"], ["train.freeze=3", "2 layers"]),
        (["reviews.csv", "task.name=clasification"], ["clasification", '"classification"']),
        (["reviews.csv", "task.positive_label=great"], ["task.positive_label", '"great"', "good"]),
        (["reviews.csv", "model.max_length=65"], ["model.max_length=65", "64"]),
        (["reviews.csv", "model.head=fist_token"], ["fist_token", '"first_token"']),
        (["reviews.csv", "machine.device=tpu"], ["machine.device=tpu", "cpu"]),
        (["reviews.csv", "machine.device=cuda:99"], ["machine.device=cuda:99"]),
        (["broken.toml"], ["broken.toml", "line 2"]),
        (["strange.toml"], ["data.train", "3"]),
        (["strange-source.toml"], ["source", "3"]),
        pytest.param(["x" * 300 + ".csv"], ["xxx", "not a usable path"], id="a name that is too long"),
    ],
)
def test_impossible_settings_are_refused(
    here: Path, quick: tuple[str, ...], arguments: list[str], parts: list[str]
) -> None:
    write_csv(here / "reviews.csv", reviews(12))
    write_csv(here / "odd.csv", [("great phone", "good"), ("dull lamp", "goood")])
    write_csv(
        here / "pairs.csv", [(text, "lamp", label) for text, label in reviews(12)], "question,sentence,label"
    )
    (here / "folder").mkdir()
    (here / "broken.toml").write_text("[data]\ntrain = \n")
    (here / "strange.toml").write_text("[data]\ntrain = 3\n")
    (here / "strange-source.toml").write_text("source = 3\n")
    message = refusal(here, arguments[0], *quick, *arguments[1:])
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nowhere", ["nowhere", "minilm", "offline"]),
        ("no/such/model/at/all", ["not a local folder", "minilm"]),
        ("empty", ["empty", "config.json"]),
        ("reviews.csv", ["reviews.csv", "is a file", "folder"]),
        ("pickled", ["pytorch_model.bin", "safetensors", "save_pretrained"]),
        ("wordless", ["wordless", "tokenizer"]),
        ("damaged", ["damaged", "config.json"]),
        ("mixed", ["mixed", "vocab_size"]),
        ("runs/old", ["runs/old", "runs/old/model"]),
    ],
)
def test_an_unavailable_model_is_refused(here: Path, encoder: Path, name: str, parts: list[str]) -> None:
    write_csv(here / "reviews.csv", reviews(12))
    config, words = (encoder / "config.json").read_text(), (encoder / "vocab.txt").read_text()
    for folder, files in {
        "empty": {},
        "pickled": {"config.json": config, "vocab.txt": words, "pytorch_model.bin": "cos\nsystem\n"},
        "wordless": {"config.json": config},
        "damaged": {"config.json": config[:40], "vocab.txt": words},
        "mixed": {"config.json": config, "vocab.txt": words + "more\nwords\n"},
        "runs/old/model": {"config.json": config, "vocab.txt": words},
    }.items():
        (here / folder).mkdir(parents=True)
        for file, content in files.items():
            (here / folder / file).write_text(content)
    message = refusal(here, "reviews.csv", f"model.name={name}")
    for part in parts:
        assert part in message or (part == "offline" and "ithout a network" in message), message


def test_a_wrong_file_name_is_reported_before_the_model_is_located(here: Path) -> None:
    """The default model is on the Hub: it must not be downloaded before a typing mistake is reported."""
    assert "rewiews.csv" in refusal(here, "rewiews.csv", "model.name=nobody/there")


def test_a_wrong_task_option_is_reported_before_the_model_is_located(here: Path) -> None:
    write_csv(here / "reviews.csv", reviews(12))
    assert "task.positiv" in refusal(here, "reviews.csv", "model.name=nobody/there", "task.positiv=good")


def test_long_texts_are_truncated_if_a_length_is_set(here: Path, quick: tuple[str, ...]) -> None:
    """The remedy in the message works."""
    (here / "a.csv").write_text(TABLE + f"{LONG},good\n")
    assert "model.max_length=64" in refusal(here, "a.csv", *quick)
    found = bertune("check", "a.csv", quick[0], "model.max_length=64", "--json").fine().json
    assert sum(split["truncated"] for split in found["data"]["splits"].values()) == 1


def test_check_refuses_what_train_refuses(here: Path, quick: tuple[str, ...]) -> None:
    (here / "a.csv").write_text(TABLE + "great phone,odd\n")
    said = bertune("check", "a.csv", quick[0])
    assert said.code == 3 and said.out == ""
    assert said.err == "error: " + refusal(here, "a.csv", *quick)
