"""The notation of the search space: ranges, choices and scales, and what is refused before training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bertune.errors import ConfigError, SettingsError
from bertune.search.space import Space, read_space, with_params
from bertune.settings import parse_overrides
from bertune.source import resolve_source


def space_of(path: Path, *pairs: str, **settings: Any) -> Space:
    return read_space(resolve_source(str(path), {**parse_overrides(pairs), **settings}))[0]


def refused(path: Path, *pairs: str) -> str:
    with pytest.raises(SettingsError) as raised:
        space_of(path, *pairs)
    return str(raised.value)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("train.lr=1e-5..1e-4", FloatDistribution(1e-5, 1e-4, log=True)),
        ("train.lr=1e-5..5e-5", FloatDistribution(1e-5, 5e-5)),
        ("train.lr=1e-5..1e-3:linear", FloatDistribution(1e-5, 1e-3)),
        ("train.lr=1e-5 .. 5e-5 : log", FloatDistribution(1e-5, 5e-5, log=True)),
        ("train.weight_decay=0..0.1", FloatDistribution(0, 0.1)),
        ("train.epochs=2..4:0.5", FloatDistribution(2, 4, step=0.5)),
        ("train.batch_size=8..64", IntDistribution(8, 64)),
        ("train.batch_size=8..70:8", IntDistribution(8, 64, step=8)),
        ("train.batch_size=16,32", CategoricalDistribution([16, 32])),
        ("train.freeze=none,encoder,4", CategoricalDistribution(["none", "encoder", 4])),
        ("task.class_weights=none,auto", CategoricalDistribution(["none", "auto"])),
        ('data.text=["text", "text,label"]', CategoricalDistribution(["text", "text,label"])),
    ],
)
def test_the_notation(reviews_csv: Path, pair: str, expected: object) -> None:
    (found,) = space_of(reviews_csv, f"tune.space.{pair}").distributions.values()
    assert found == expected


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("train.lr=0..1e-4", r"train\.lr must be greater than 0, got 0\.0"),
        ("train.lr=a..b", r'"a" is not a number\. Expected LOW\.\.HIGH'),
        ("train.lr=1e-4..1e-5", "the first number of a range must be less than the second"),
        ("train.lr=1e-4", r"only one value, 0\.0001\. Set train\.lr=0\.0001 instead"),
        ("train.epochs=2..4:3", "the step must be greater than 0 and at most 2"),
        ("train.weight_decay=0..1:log", "a log scale needs numbers greater than 0"),
        ("train.batch_size=8..32.5", r'"32\.5" is not a whole number'),
        ("train.batch_size=16,many", r"train\.batch_size must be an integer, got 'many'"),
        ("task.long_texts=1..3", "this setting is not a number. List choices"),
        ("train.bach_size=1..3", r'unknown setting "train\.bach_size"\. Did you mean "train\.batch_size"'),
        ("task.focal=1..3", r'unknown setting "task\.focal"'),
        ("data.validation_fraction=0.1,0.2", "determines which rows are scored"),
        ("machine.threads=1,2", r"settings of \[machine\] cannot be searched"),
        ("train.seeds=1..3", "the best settings are trained with that many seeds"),
        ("learning_rate=1..3", r"expected a setting, such as tune\.space\.train\.lr"),
    ],
)
def test_what_is_refused(reviews_csv: Path, pair: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        space_of(reviews_csv, f"tune.space.{pair}")
    assert str(raised.value).startswith(f"tune.space.{pair.partition('=')[0]}: ")


def test_all_problems_are_reported_at_once(reviews_csv: Path) -> None:
    text = refused(reviews_csv, "tune.space.train.lr=0..1", "tune.space.train.epochs=3", "train.epochs=1")
    assert text.count("\n") == 1


def test_a_settings_file_names_the_line_and_the_command_line_overrides_it(reviews_csv: Path) -> None:
    file = reviews_csv.parent / "search.toml"
    file.write_text(
        f'[data]\ntrain = "{reviews_csv}"\n[tune]\ntrials = 3\n[tune.space]\ntrain.lr = "0..1e-4"\n'
        "train.batch_size = [16, 32]\n",
        encoding="utf-8",
    )
    assert refused(file).startswith(f"{file}, line 6: tune.space.train.lr: ")
    found = space_of(file, "tune.space.train.lr=1e-5..1e-4")
    assert {key: str(one) for key, one in found.dimensions.items()} == {
        "train.lr": "numbers from 1e-05 to 0.0001, log scale",
        "train.batch_size": "16, 32",
    }


def test_the_default_is_the_grid_of_the_bert_paper_without_what_is_set(reviews_csv: Path) -> None:
    config = resolve_source(str(reviews_csv), {}).config
    space = space_of(reviews_csv)
    assert space.size == 18
    assert space.defaults(config) == {"train.batch_size": 32, "train.lr": 5e-5, "train.epochs": 3}
    assert space.defaults(config) in list(space.combinations())
    assert list(space_of(reviews_csv, "train.epochs=1").dimensions) == ["train.batch_size", "train.lr"]
    with pytest.raises(ConfigError, match="nothing to search"):
        space_of(reviews_csv, "train.epochs=1", "train.lr=1e-4", "train.batch_size=8")


def test_the_settings_without_the_search_may_be_outside_the_space(reviews_csv: Path) -> None:
    config = resolve_source(str(reviews_csv), {}).config
    assert space_of(reviews_csv, "tune.space.train.lr=1e-4..1e-3").defaults(config) is None
    assert space_of(reviews_csv, "tune.space.train.epochs=1..4:2").defaults(config) == {"train.epochs": 3}
    assert space_of(reviews_csv, "tune.space.train.epochs=2..4:2").defaults(config) is None


def test_points_of_the_unit_cube_are_values(reviews_csv: Path) -> None:
    pairs = (
        "train.lr=1e-5..1e-3",
        "train.batch_size=8..11",
        "train.freeze=none,encoder",
        "train.patience=1..100",
    )
    space = space_of(reviews_csv, *(f"tune.space.{pair}" for pair in pairs))
    assert list(space.at([0.0] * 4).values()) == [1e-5, 8, "none", 1]
    assert list(space.at([0.5, 0.5, 0.5, 0.5]).values()) == [pytest.approx(1e-4), 10, "encoder", 10]
    assert list(space.at([0.999] * 4).values()) == [pytest.approx(1e-3, rel=0.01), 11, "encoder", 100]


def test_values_are_applied_and_validated_as_settings(reviews_csv: Path) -> None:
    config = resolve_source(str(reviews_csv), {"task.class_weights": "auto"}).config
    params: Mapping[str, Any] = {"train.lr": 1e-3, "task.label_smoothing": 0.1}
    found = with_params(config, params)
    assert (found.train.lr, found.train.batch_size) == (1e-3, 32)
    assert found.task.options == {"class_weights": "auto", "label_smoothing": 0.1}
    assert found.data == config.data
    with pytest.raises(SettingsError, match=r"train\.lr must be greater than 0"):
        with_params(config, {"train.lr": -1.0})
