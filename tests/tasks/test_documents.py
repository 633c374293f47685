"""Long texts: truncated, cut in the middle, or read in windows, in training, evaluation and prediction."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from bertune import api
from bertune.config import TaskConfig
from bertune.data.rows import Origin
from bertune.errors import ConfigError, DataError
from bertune.nn.batch import collate
from bertune.predict.predictor import plain
from bertune.tasks import FittedTask, make_task
from bertune.tasks.classification.task import Example
from bertune.text.tokenizer import Tokenizer
from tiny import QUICK, bertune
from trainings import train

WORDS = ("great", "broken", "dull", "lovely", "slow", "bright", "phone", "lamp")
LONG = " ".join(WORDS[i % 8] for i in range(50))


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Path) -> Tokenizer:
    return Tokenizer.pretrained(tiny_weights)


def words_of(tokenizer: Tokenizer, ids: Any) -> list[str]:
    return [w for w in tokenizer.tokens(ids) if not w.startswith("[")]


def test_windows_cover_all_tokens_in_order_and_overlap_by_the_stride(tokenizer: Tokenizer) -> None:
    found = tokenizer.windows([("it was great",), (LONG,)], 12, 3)
    assert [s.group for s in found].count(0) == 1
    windows = [words_of(tokenizer, s.ids) for s in found if s.group == 1]
    assert all(len(s) <= 12 for s in found)
    rejoined = list(windows[0])
    for before, after in pairwise(windows):
        assert before[-3:] == after[:3]
        rejoined += after[3:]
    assert rejoined == LONG.split()


def test_windows_of_a_pair_each_begin_with_the_whole_first_text(tokenizer: Tokenizer) -> None:
    found = tokenizer.windows([("it was", LONG)], 14, 2)
    assert len(found) > 3
    for s in found:
        assert words_of(tokenizer, s.ids[s.types == 0]) == ["it", "was"]
        assert len(s) <= 14


def test_a_max_length_without_room_for_windows_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"model\.max_length=2 leaves 0 tokens for the text in a window"):
        tokenizer.windows([(LONG,)], 2, 6)
    message = (
        r"^b\.csv, line 7: the first text of this pair has \d+ tokens\. With model\.max_length=12, "
        r"this leaves 0 tokens"
    )
    with pytest.raises(DataError, match=message):
        tokenizer.windows(
            [("it was", LONG), ("it", LONG), (LONG, "it was")], 12, 4, ["", "", "b.csv, line 7"]
        )


def test_the_windows_of_a_pair_do_not_depend_on_other_pairs(tokenizer: Tokenizer) -> None:
    alone = tokenizer.windows([("it was", LONG)], 16, 64)
    beside = tokenizer.windows(
        [("it was", LONG), ("it was great and lovely", LONG), (LONG[:40], "it")], 16, 64
    )
    assert [s.ids.tolist() for s in beside if s.group == 0] == [s.ids.tolist() for s in alone]
    assert [s.group for s in beside] == sorted(s.group for s in beside)


def test_windows_shorter_than_the_stride_overlap_by_half(tokenizer: Tokenizer) -> None:
    windows = [words_of(tokenizer, s.ids) for s in tokenizer.windows([(LONG,)], 8, 64)]
    assert all(before[-3:] == after[:3] for before, after in pairwise(windows))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("classification", {"long_texts": "windows"}),
        ("regression", {"long_texts": "windows"}),
        ("question_answering", {}),
        ("token_classification", {}),
    ],
)
def test_a_stride_that_windows_cannot_have_is_an_error(name: str, options: dict[str, Any]) -> None:
    def fitted(**more: Any) -> FittedTask:
        task: FittedTask = make_task(TaskConfig(name=name, **options, **more)).fitted()
        return task

    with pytest.raises(ConfigError, match=r"task\.stride=33: .* model\.max_length=64 .* to 32 or less, or "):
        fitted(stride=33).check_length(64)
    fitted(stride=32).check_length(64)
    fitted().check_length(20)  # the default is reduced to what fits


def test_a_stride_without_windows_is_not_checked() -> None:
    make_task(TaskConfig(name="classification", stride=500)).fitted().check_length(64)


def test_training_refuses_a_stride_that_windows_cannot_have(tiny_weights: Path, tmp_path: Path) -> None:
    rows = [{"text": LONG, "label": n % 2} for n in range(8)]
    overrides = {"task.long_texts": "windows", "task.stride": 40, "model.name": str(tiny_weights)}
    with pytest.raises(
        ConfigError, match=r"task\.stride=40: adjacent windows of model\.max_length=64 tokens"
    ):
        api.train(rows, settings=overrides, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("max_length", [8, 13, 26])
def test_head_and_tail_keep_a_quarter_from_the_beginning_and_the_rest_from_the_end(
    tokenizer: Tokenizer, max_length: int
) -> None:
    (cut,) = tokenizer.encode([(LONG,)], max_length, keep_end=True)
    kept = max_length - 2
    head = kept // 4
    assert len(cut) == max_length
    assert words_of(tokenizer, cut.ids) == LONG.split()[:head] + LONG.split()[head - kept :]
    assert cut.num_removed == 50 - kept
    (short,) = tokenizer.encode([("it was great",)], max_length, keep_end=True)
    assert (len(short), short.num_removed) == (5, 0)


def test_the_loss_of_a_text_is_computed_from_the_mean_of_its_windows(tokenizer: Tokenizer) -> None:
    task = make_task(TaskConfig(name="classification", long_texts="windows", stride=2))
    examples = [
        Example("1", Origin("a.csv", 1), (LONG,), "b"),
        Example("2", Origin("a.csv", 2), ("it was great",), "a"),
    ]
    fitted = task.fit(examples)
    sequences = fitted.encode(examples, tokenizer, 20)
    # Micro-batches are sorted by length, so the windows of a text need not be adjacent.
    shuffled = sorted(sequences, key=len)
    outputs = torch.randn(len(shuffled), 2, generator=torch.Generator().manual_seed(4))
    total, count = fitted.loss(outputs, collate(shuffled))
    mean = torch.stack([outputs[i] for i, s in enumerate(shuffled) if s.group == 0]).mean(0)
    short = next(outputs[i] for i, s in enumerate(shuffled) if s.group == 1)
    expected = torch.nn.functional.cross_entropy(torch.stack([mean, short]), torch.tensor([1, 0]))
    assert count == 2
    assert total / count == pytest.approx(float(expected), rel=1e-5)


def test_head_tail_is_an_error_for_pairs(tiny_weights: Path, tmp_path: Path) -> None:
    rows = [{"text_a": text, "text_b": LONG, "label": n % 2} for n, text in enumerate(("a", "b", "c", "d"))]
    overrides = {"task.long_texts": "head_tail", "model.name": str(tiny_weights)}
    with pytest.raises(
        ConfigError, match=r"task\.long_texts=head_tail requires single texts, but the data has pairs"
    ):
        api.train(rows, settings=overrides, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("long", ["truncate", "head_tail", "windows"])
@pytest.mark.parametrize("name", ["classification", "multilabel", "regression"])
def test_training_evaluation_and_prediction_treat_long_texts_in_the_same_way(
    name: str, long: str, tiny_weights: Path, tmp_path: Path
) -> None:
    # Only the last word differs, and truncation removes it.
    rows = [
        {"text": f"{LONG} {word}", "label": value}
        for word, value in (
            ("great", 0),
            ("broken", 1),
            ("lovely", 0),
            ("slow", 1),
            ("lamp", 1),
            ("phone", 0),
        )
    ]
    overrides = {
        "task.name": name,
        "task.long_texts": long,
        "task.stride": 4,
        "data.label": "label",
        "model.name": str(tiny_weights),
        "model.max_length": 20,
        "machine.device": "cpu",
        "machine.precision": "fp32",
        "train.epochs": 1,
        "train.batch_size": 4,
    }
    run, _ = train({"train": rows, "validation": rows}, tmp_path / "run", overrides)
    stored = list(run.predictions("validation"))
    assert len(stored) == len(rows)
    model = api.load(run, settings={"machine.micro_batch_tokens": 40})
    for line, prediction in zip(stored, model.predict([row["text"] for row in rows]), strict=True):
        for key, value in plain(prediction).items():
            assert line[key] == (value if isinstance(value, str | list) else pytest.approx(value, abs=1e-5))
    truncated = run.manifest["data"]["splits"]["train"]["truncated"]
    assert truncated == (0 if long == "windows" else len(rows))
    values = [line.get("value") or next(iter(line["probabilities"].values())) for line in stored]
    distinct = {round(value, 5) for value in values}
    assert len(distinct) == (1 if long == "truncate" else len(rows))


def test_a_windows_model_trained_on_short_texts_predicts_long_texts(
    tiny_weights: Path, tmp_path: Path
) -> None:
    data = tmp_path / "short.csv"
    data.write_text("text,label\n" + "".join(f"it was {w},{i % 2}\n" for i, w in enumerate(WORDS * 3)))
    out = tmp_path / "run"
    bertune(
        "train", data, "task.long_texts=windows", f"model.name={tiny_weights}", *QUICK, "--out", out
    ).fine()
    short, long = bertune("predict", out, "-", stdin=f"it was great\n{LONG}\n").fine().lines
    assert short["label"] and long["label"]
