"""Published data sets if available, and a small encoder for Chinese."""

import os
import shutil
import sys
from pathlib import Path

import pytest

# The page reader and the tiny estimators belong to the tests of other folders, which may not be collected.
sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("reporting", "estimators")]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published data sets; skips the test if there is none."""
    folder = os.environ.get("BERTUNE_DATA")
    if not folder:
        pytest.skip("BERTUNE_DATA names no folder with the real data sets")
    return Path(folder).absolute()


@pytest.fixture(scope="session")
def chinese(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without weights with the vocabulary of bert-base-chinese. Read only."""
    from transformers import BertConfig

    folder = tmp_path_factory.mktemp("models") / "chinese"
    folder.mkdir()
    shutil.copy(data / "vocab" / "bert-base-chinese" / "vocab.txt", folder)
    BertConfig(
        vocab_size=21128,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=512,
        initializer_range=0.1,
    ).save_pretrained(folder)
    return folder
