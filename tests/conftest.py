"""Fixtures for all tests: a tiny random BERT, a few labelled texts, no network."""

import gc
import os

# Set before the libraries that read them are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a second thread slows down models this small

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from filelock import FileLock

from small_texts import TINY_BERT, labelled_texts, write_csv, write_vocabulary

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tiny_exports import Exports

pytest.register_assert_rewrite("trainings")

# How fast inputs are generated says something about the machine only.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

# Folders of tests that train, which come first: at the end no worker then waits for another's slow file.
SLOW_FOLDERS = (
    "real", "training", "search", "hostile", "contracts", "export", "deploy", "runtime", "docs", "examples",
    "hub", "page", "serve", "bench", "cli", "nn", "predict", "formats", "tracking", "estimators", "api",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests of SLOW_FOLDERS to the front, and skips those marked as slow unless they are wanted."""

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return SLOW_FOLDERS.index(folder) if folder in SLOW_FOLDERS else len(SLOW_FOLDERS)

    items.sort(key=place)
    if not os.environ.get("BERTUNE_SLOW_TESTS"):
        unwanted = pytest.mark.skip(reason="slow; runs where BERTUNE_SLOW_TESTS is set, as in .ci/run")
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(unwanted)


def pytest_collection_finish() -> None:
    """Exempts what is imported from garbage collection, which some tests trigger dozens of times."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without weights: config.json and vocab.txt. Read only."""
    from transformers import BertConfig

    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    BertConfig(**TINY_BERT).save_pretrained(folder)
    write_vocabulary(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same BERT with model.safetensors, a two-label head in it, and tokenizer.json. Read only."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-weights"
    folder.mkdir()
    write_vocabulary(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(13)
        # Larger than the usual 0.02, so that attention and dropout have a measurable effect.
        model = BertForSequenceClassification(BertConfig(**TINY_BERT, initializer_range=0.15))
    model.save_pretrained(folder)
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return folder


@pytest.fixture(scope="session")
def reviews_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-one short labelled texts: columns text, label. Read only."""
    return write_csv(tmp_path_factory.mktemp("data") / "reviews.csv", ("text", "label"), labelled_texts(61))


@pytest.fixture(scope="session")
def pairs_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-one labelled pairs of texts: columns question, sentence, label. Read only."""
    firsts, seconds = labelled_texts(31, seed=7), labelled_texts(31, seed=8)
    rows = [
        (a, b, "same" if i % 3 else "other")
        for i, ((a, _), (b, _)) in enumerate(zip(firsts, seconds, strict=True))
    ]
    return write_csv(tmp_path_factory.mktemp("data") / "pairs.csv", ("question", "sentence", "label"), rows)


@pytest.fixture(scope="session")
def settings(tiny_weights: Path) -> Callable[..., dict[str, Any]]:
    """Overrides for a training that takes a second: `settings(**{"train.lr": 1e-3})`."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "model.name": str(tiny_weights),
            "machine.precision": "fp32",
            "machine.device": "cpu",
            "train.epochs": 2,
            "train.batch_size": 8,
            "train.lr": 1e-3,
            "train.baselines": False,
            "train.explain": False,
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> "Exports":
    """Tiny trained models of every task, and their exports. See `Exports`."""
    from tiny_exports import Exports, write_encoder

    own = tmp_path_factory.getbasetemp()
    is_worker = own.name.startswith("popen-")  # of pytest-xdist, whose folder is inside that of the test run
    folder = (own.parent if is_worker else own) / "tiny-exports"
    folder.mkdir(exist_ok=True)
    encoder = folder / "encoder"
    with FileLock(folder / "encoder.lock"):
        if not encoder.is_dir():
            write_encoder(encoder)
    return Exports(folder, encoder)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One browser for all tests of a module; Playwright's event loop would disturb those of other modules."""
    from browsing import chromium

    with chromium() as launched:
        yield launched
