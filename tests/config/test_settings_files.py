"""Errors about settings in a file name the file and the line; a fraction in place of a file is explained."""

from pathlib import Path

import pytest

from bertune.config import TaskConfig, fraction_in
from bertune.errors import ConfigError, SettingsError
from bertune.run import CONFIG, read_config
from bertune.settings import parse_overrides, resolve
from bertune.source import resolve_source
from bertune.tasks import make_task
from bertune.training.reading import read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a settings file next to a table."""
    (tmp_path / "reviews.csv").write_text("text,label\na lovely phone,good\na broken phone,bad\n")
    return tmp_path / "settings.toml"


def written(file: Path, *lines: str) -> str:
    file.write_text("\n".join(('[data]\ntrain = "reviews.csv"', *lines)) + "\n", encoding="utf-8")
    return str(file)


def refusal(source: str, **settings: object) -> list[str]:
    """The lines of the error of a source."""
    with pytest.raises(ConfigError) as caught:
        read(resolve_source(source, {key.replace("__", "."): value for key, value in settings.items()}))
    return str(caught.value).splitlines()


def test_each_problem_of_a_file_is_named_with_its_line(file: Path) -> None:
    source = written(file, "[train]", "epoch = 3", 'lr = "fast"', "", "[optimizer]", "beta1 = 2")
    assert sorted(refusal(source)) == [
        f'{file}, line 4: unknown setting "train.epoch". Did you mean "train.epochs"?',
        f"{file}, line 5: train.lr must be a number, got 'fast'",
        f"{file}, line 8: optimizer.beta1 must be less than 1, got 2",
    ]


def test_problems_of_the_command_line_do_not_name_the_file(file: Path) -> None:
    source = written(file, "[train]", "lr = 1e-4")
    (line,) = refusal(source, train__lr="fast")
    assert line == "train.lr must be a number, got 'fast'"
    (line,) = refusal(source, train__epoch=3)
    assert line.startswith('unknown setting "train.epoch"')


def test_a_setting_that_is_overridden_is_not_a_problem_of_the_file(file: Path) -> None:
    source = written(file, "[train]", 'lr = "fast"')
    assert resolve_source(source, {"train.lr": 1e-4}).config.train.lr == 1e-4


def test_a_key_outside_a_table_is_named_with_its_line(file: Path) -> None:
    file.write_text('source = "demo"\nepochs = 3\n', encoding="utf-8")
    assert refusal(str(file)) == [f'{file}, line 2: unknown setting "epochs". Did you mean "train.epochs"?']


def test_an_unknown_option_of_the_task_is_named_with_its_line(file: Path) -> None:
    source = written(file, "[task]", 'positiv = "good"')
    (line,) = refusal(source)
    assert line.startswith(f'{file}, line 4: unknown setting "task.positiv". Did you mean')
    (line,) = refusal(written(file), task__positiv="good")
    assert line.startswith('unknown setting "task.positiv"')


def test_a_dotted_key_is_found_and_another_notation_names_the_file_only(file: Path) -> None:
    source = written(file, "validation_fraction = 0.5", "[train.other]", "depth = 1")
    (line,) = refusal(source)
    assert line == f'{file}: unknown setting "train.other". Known settings: ' + line.split("settings: ")[1]
    file.write_text("data.train = 'reviews.csv'\ntrain.epoch = 3\n", encoding="utf-8")
    assert refusal(str(file))[0].startswith(f'{file}, line 2: unknown setting "train.epoch"')


def test_an_invalid_setting_of_a_run_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("[train]\nepochs = -1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml, line 2: train\.epochs must be greater than 0"):
        read_config(tmp_path)


@pytest.mark.parametrize("value", ["0.2", 0.2, "20%"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_fraction_in_place_of_a_file_names_the_setting_for_it(split: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"^data\.{split}=.*: expected a file\. ") as caught:
        resolve({"data": {split: value}})
    assert f"data.{split}_fraction=0.2" in str(caught.value)


def test_a_fraction_in_a_settings_file_is_explained_too(file: Path) -> None:
    (line,) = refusal(written(file, "validation = 0.25"))
    assert line.startswith(f"{file}, line 3: data.validation=0.25: expected a file.")
    assert line.endswith("set data.validation_fraction=0.25")


@pytest.mark.parametrize("value", ["2020", "0.2.csv", "1.0", "0", "dev", None, "nan", "-0.5"])
def test_names_of_files_and_folders_are_not_fractions(value: str | None) -> None:
    assert fraction_in(value) is None


def test_an_unknown_source_is_named_with_its_file_and_line(file: Path) -> None:
    file.write_text('\nsource = "colaa"\n', encoding="utf-8")
    assert refusal(str(file))[0].startswith(
        f"{file}, line 2: source = 'colaa' is not a named data set or recipe. Did you mean \"cola\"?"
    )


def test_a_malformed_list_is_named_with_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"^data\.text=\[a is not a valid list: "):
        parse_overrides(["data.text=[a"])


def test_costs_without_numbers_are_refused_with_an_example() -> None:
    with pytest.raises(ConfigError, match=r"^decide.costs must be names and costs, such as spam>ham=10,"):
        resolve({"decide": {"costs": "spam"}})


def test_limits_that_include_their_value_are_called_at_least_and_at_most() -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_size must be at least 1, got 0"):
        resolve({"train": {"batch_size": 0}})
    with pytest.raises(ConfigError, match=r"decide\.target must be at most 1, got 2"):
        resolve({"decide": {"target": 2}})


def test_an_option_of_another_task_is_refused_with_the_tasks_that_have_it() -> None:
    with pytest.raises(ConfigError, match=r"^task.columns is not a setting of .* It belongs to multilabel: "):
        make_task(TaskConfig.model_validate({"name": "classification", "columns": "joy,fear"}))
