"""Settings: which values are valid, and one error that lists every problem."""

from pathlib import Path
from typing import Any

import pytest

from bertune.config import Config
from bertune.errors import ConfigError
from bertune.settings import nested, parse_overrides, read_toml, resolve


def configured(*pairs: str) -> Config:
    """The default settings with overrides from the command line."""
    return resolve(parse_overrides(pairs))


def refusal(*pairs: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(*pairs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pair", "meant"),
    [
        ("train.epoch=3", "train.epochs"),
        ("train.learning_rate=1", "train."),
        ("data.lable=stars", "data.label"),
        ("model.maxlength=9", "model.max_length"),
        ("lr=1e-5", "train.lr"),
        ("train.max_length=9", "model.max_length"),
        ("trian.epochs=3", "train.epochs"),
        ("optimiser.clip=1", "optimizer.max_grad_norm"),
    ],
)
def test_an_unknown_key_suggests_the_closest_one(pair: str, meant: str) -> None:
    message = refusal(pair)
    assert f'unknown setting "{pair.partition("=")[0]}"' in message
    assert meant in message


def test_an_unknown_key_without_a_similar_name_lists_all_keys() -> None:
    message = refusal("machine.qqqq=1")
    assert "machine.device" in message and "machine.threads" in message


def test_all_problems_are_reported_at_once() -> None:
    message = refusal(
        "train.epochs=many",
        "train.epoch=3",
        "model.dropout=7",
        "data.validation_fraction=2",
        "machine.precision=fp8",
    )
    for part in (
        "train.epochs",
        "many",
        '"train.epoch"',
        "model.dropout",
        "data.validation_fraction",
        "machine.precision",
        "bf16",
    ):
        assert part in message
    assert len(message.splitlines()) == 5


def test_one_wrong_value_is_one_problem() -> None:
    """A setting of a union type fails validation once per member, but is reported once."""
    for pair in (
        "train.freeze=some",
        "model.max_length=long",
        "data.header=perhaps",
        "machine.micro_batch_tokens=few",
    ):
        message = refusal(pair)
        assert len(message.splitlines()) == 1, message
        key, _, value = pair.partition("=")
        assert key in message and value in message


@pytest.mark.parametrize(
    ("pair", "section", "name", "value"),
    [
        ("train.epochs=3", "train", "epochs", 3.0),
        ("train.epochs=0.5", "train", "epochs", 0.5),
        ("train.lr=3e-5", "train", "lr", 3e-5),
        ("train.batch_size=16", "train", "batch_size", 16),
        ("train.warmup=100", "train", "warmup", 100.0),
        ("train.freeze=2", "train", "freeze", 2),
        ("train.freeze=none", "train", "freeze", "none"),
        ("train.freeze=encoder", "train", "freeze", "encoder"),
        ("train.evaluate_every=50", "train", "evaluate_every", 50),
        ("train.evaluate_every=epoch", "train", "evaluate_every", "epoch"),
        ("model.max_length=128", "model", "max_length", 128),
        ("model.max_length=auto", "model", "max_length", "auto"),
        ("model.dropout=0", "model", "dropout", 0.0),
        ("data.text=review", "data", "text", ("review",)),
        ("data.text=question,sentence", "data", "text", ("question", "sentence")),
        ("data.text=question, sentence", "data", "text", ("question", "sentence")),
        ('data.text=["question", "sentence"]', "data", "text", ("question", "sentence")),
        ("data.text=[3, 4]", "data", "text", ("3", "4")),
        ("data.text=3", "data", "text", ("3",)),
        ("data.label=1", "data", "label", "1"),
        ("data.label=1.0", "data", "label", "1.0"),
        ("data.label=true", "data", "label", "true"),
        ("data.header=false", "data", "header", False),
        ("data.header=true", "data", "header", True),
        ("data.header=auto", "data", "header", "auto"),
        ("data.delimiter=,", "data", "delimiter", ","),
        ("data.train=a=b.csv", "data", "train", "a=b.csv"),
        ("data.label=stars = ", "data", "label", "stars ="),
        ("machine.micro_batch_tokens=4096", "machine", "micro_batch_tokens", 4096),
    ],
)
def test_an_override_is_converted_to_the_type_of_the_setting(
    pair: str, section: str, name: str, value: Any
) -> None:
    found = getattr(getattr(configured(pair), section), name)
    assert found == value
    assert type(found) is type(value)


def test_the_last_of_two_overrides_wins() -> None:
    assert configured("train.epochs=1", "train.epochs=2").train.epochs == 2


@pytest.mark.parametrize("pair", ["train.epochs", "epochs", "--epochs", "train.epochs 3", ""])
def test_an_override_without_an_equals_sign_is_an_error_with_the_syntax(pair: str) -> None:
    message = refusal(pair)
    assert f'"{pair}"' in message and "key=value" in message


def test_a_malformed_list_is_an_error_with_its_value() -> None:
    assert '["question' in refusal('data.text=["question')


@pytest.mark.parametrize(
    "pair",
    [
        "train.epochs=0", "train.epochs=-1", "train.epochs=nan", "train.epochs=inf", "train.lr=0",
        "train.batch_size=0",
        "train.batch_size=8.5", "train.warmup=-1", "train.warmup=1.5", "train.freeze=0", "train.freeze=-1",
        "train.seed=-1", "train.patience=-1", "train.evaluate_every=0", "train.checkpoint_every=0",
        "train.max_examples=0",
        "model.max_length=3", "model.dropout=1", "model.dropout=-0.1", "data.validation_fraction=0",
        "data.validation_fraction=1",
        "optimizer.beta1=1", "optimizer.eps=0", "optimizer.max_grad_norm=-1",
        "machine.micro_batch_tokens=0", "machine.threads=0",
        "machine.threads=-2", "machine.precision=fp16",
    ],
)  # fmt: skip
def test_an_invalid_value_is_reported_with_its_key(pair: str) -> None:
    assert refusal(pair).startswith(f"{pair.partition('=')[0]} must ")


@pytest.mark.parametrize("pair", ["model.name=", "data.validation="])
def test_an_empty_path_is_not_the_current_folder(pair: str) -> None:
    """An unset shell variable gives an empty value: model.name=$MODEL."""
    assert pair.partition("=")[0] in refusal(pair)


def test_a_literal_tab_is_a_valid_delimiter() -> None:
    """As in the shell: data.delimiter=$'\\t'."""
    assert configured("data.delimiter=\t").data.delimiter in ("\t", "tab")


def test_settings_survive_a_toml_file(tmp_path: Path) -> None:
    config = configured(
        "data.train=文本/a \"b\".csv", "data.text=question,sentence", "data.label=1", "data.header=false",
        "data.delimiter=tab", "model.dropout=0.25", "task.name=my_task.py", "task.depth=3", "train.freeze=2",
        "train.lr=3e-05", "train.epochs=2.5", "train.seed=4294967295", "machine.micro_batch_tokens=512",
    )  # fmt: skip
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    again = resolve(nested(read_toml(path)))
    assert again == config
    assert again.data.train == '文本/a "b".csv' and again.train.freeze == 2


def test_a_toml_file_holds_every_setting_that_is_set() -> None:
    text = configured("data.train=a.csv").to_toml()
    for key in (
        "[data]",
        "[model]",
        "[task]",
        "[train]",
        "[optimizer]",
        "[machine]",
        "epochs",
        "batch_size",
        "seed",
    ):
        assert key in text


@pytest.mark.parametrize(
    "content", [b"train = \n", b"[train\nepochs = 3\n", b"[train]\nepochs = 3 4\n", b"\xff\xfe"]
)
def test_an_invalid_toml_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        read_toml(path)


def test_a_toml_syntax_error_has_a_line_number(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[train]\nepochs = 3\nlr = high\n")
    with pytest.raises(ConfigError, match="line 3"):
        read_toml(path)


def test_a_missing_toml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        read_toml(tmp_path / "nowhere.toml")


def test_python_overrides_can_be_nested_or_dotted() -> None:
    dotted = nested({"train.epochs": 3, "train.lr": 1e-4, "data.text": ["a", "b"]})
    assert dotted == nested({"train": {"epochs": 3, "lr": 1e-4}, "data": {"text": ["a", "b"]}})
    assert resolve(dotted).data.text == ("a", "b")


def test_a_python_override_without_a_section_suggests_the_full_key() -> None:
    with pytest.raises(ConfigError, match=r'"train\.epochs"'):
        nested({"epochs": 3})


@pytest.mark.parametrize("section", ["data", "model", "train", "optimizer", "machine"])
def test_resolved_settings_are_immutable(section: str) -> None:
    config = Config()
    name, value = next(iter(getattr(config, section)))
    with pytest.raises(ValueError, match="frozen"):
        setattr(getattr(config, section), name, value)


def test_defaults_do_not_depend_on_other_settings() -> None:
    """Defaults that depend on other settings would be surprising."""
    changed = configured("model.name=other", "train.epochs=9", "data.train=a.csv").to_settings()
    plain = Config().to_settings()
    changed["data"].pop("train")
    changed["model"]["name"], changed["train"]["epochs"] = plain["model"]["name"], plain["train"]["epochs"]
    assert changed == plain


def test_options_of_a_task_are_validated_by_the_task() -> None:
    from bertune.tasks import make_task

    config = configured("task.positiv=good", "task.flavour=sweet")
    with pytest.raises(ConfigError) as caught:
        make_task(config.task)
    assert '"task.positiv"' in str(caught.value) and '"task.positive_label"' in str(caught.value)
    assert '"task.flavour"' in str(caught.value)


def test_a_label_option_can_be_a_number() -> None:
    """In a settings file and in Python, a label such as 1 is a number."""
    from bertune.tasks import make_task

    task = make_task(resolve(nested({"task.positive_label": 1})).task)
    assert task.options.positive_label == "1"
