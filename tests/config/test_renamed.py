"""Former names of settings and tasks: old runs are read, and an error suggests the new name."""

import json
import shutil
from pathlib import Path

import pytest

import bertune as bt
from bertune import renamed
from bertune.config import TaskConfig
from bertune.errors import ConfigError
from bertune.files import CHECKSUM
from bertune.registry import names
from bertune.run import CONFIG, MANIFEST, open_run
from bertune.settings import known_keys, parse_overrides, resolve
from bertune.tasks import make_task

REVIEWS = ["the food was good", "bad service", "a good day", "all of it bad"] * 6
LABELS = ["good", "bad"] * 12


@pytest.mark.parametrize(
    ("old", "new"), [x for x in renamed.SETTINGS.items() if not x[0].startswith("task.")]
)
def test_a_former_setting_suggests_its_new_name(old: str, new: str) -> None:
    assert new in known_keys() and old not in known_keys()
    with pytest.raises(ConfigError, match=f'unknown setting "{old}". Did you mean "{new}"'):
        resolve(parse_overrides([f"{old}=1"]))


@pytest.mark.parametrize(
    ("task", "old"),
    [
        ("classification", "task.long"), ("classification", "task.weights"), ("classification", "task.focal"),
        ("classification", "task.smoothing"), ("classification", "task.positive"),
        ("embeddings", "task.sizes"), ("language_modelling", "task.share"),
        ("language_modelling", "task.whole_words"), ("language_modelling", "task.in_turn"),
        ("question_answering", "task.faults"), ("ranking", "task.highest"),
    ],
)  # fmt: skip
def test_a_former_option_suggests_its_new_name(task: str, old: str) -> None:
    with pytest.raises(ConfigError, match=f'unknown setting "{old}". Did you mean "{renamed.SETTINGS[old]}"'):
        make_task(TaskConfig(name=task, **{old.removeprefix("task."): 1}))


@pytest.mark.parametrize("old", ["tokens", "choice"])
def test_a_former_task_suggests_its_new_name(old: str) -> None:
    with pytest.raises(ConfigError, match=f'unknown task "{old}". Did you mean "{renamed.TASKS[old]}"'):
        make_task(TaskConfig(name=old))


@pytest.mark.parametrize(
    ("short", "name"),
    [("ner", "token_classification"), ("qa", "question_answering"), ("mlm", "language_modelling")],
)
def test_a_short_name_selects_the_task(short: str, name: str) -> None:
    assert TaskConfig(name=short).name == name in names("task")


def test_a_run_of_an_earlier_format_is_resumed_and_predicts(tiny_weights: Path, tmp_path: Path) -> None:
    settings = {"model.name": str(tiny_weights), "train.epochs": 1, "task.class_weights": "auto"}
    run = bt.train(REVIEWS, LABELS, settings=settings, out=tmp_path / "new")
    expected = bt.predict(run, REVIEWS[:4])
    old = tmp_path / "old"
    shutil.copytree(run.path, old)
    text = (old / CONFIG).read_text(encoding="utf-8")
    for before, now in renamed.SETTINGS.items():
        text = text.replace(f"\n{now.partition('.')[2]} = ", f"\n{before.partition('.')[2]} = ")
    assert "\nbest_by = " in text and "\nweights = " in text and "best_metric" not in text
    (old / CONFIG).write_text(text, encoding="utf-8")
    for path in (old / MANIFEST, old / "model" / "bertune.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if "task" in content and isinstance(content["task"], dict):
            content["task"]["weights"] = content["task"].pop("class_weights")
        for key in (CHECKSUM, "files"):
            content.pop(key, None)
        path.write_text(json.dumps(content | {"format": 1}), encoding="utf-8")
    assert bt.predict(old, REVIEWS[:4]) == expected
    assert open_run(old).config == run.config


def test_a_similar_name_in_another_section_is_not_suggested() -> None:
    with pytest.raises(ConfigError, match=r'setting "train\.widths"\. Known settings: train\.epochs, '):
        resolve(parse_overrides(["train.widths=100"]))
    with pytest.raises(ConfigError, match=r'Did you mean "train\.epochs"\?'):
        resolve(parse_overrides(["trian.epochs=3"]))
