"""Writes a BERT with 120,000 x 768 random embeddings and a vocabulary that covers the words of some texts.

python benchmarks/large_encoder.py TEXTS.jsonl FOLDER
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

VOCABULARY = 120_000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def vocabulary(lines: list[str]) -> list[str]:
    """Special tokens, characters and words of the texts, filled up with unused entries."""
    texts = [json.loads(line)["text"].lower() for line in lines if line.strip()]
    words = sorted({word for text in texts for word in re.findall(r"\w+", text)})
    characters = sorted({c for text in texts for c in text if not c.isspace()})
    known = list(dict.fromkeys([*SPECIAL, *characters, *(f"##{c}" for c in characters), *words]))
    return known + [f"[unused{i}]" for i in range(VOCABULARY - len(known))]


def main() -> None:
    """Writes the model folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    words = vocabulary(options.texts.read_text(encoding="utf-8").split("\n"))
    (options.folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=VOCABULARY, num_hidden_layers=2)
    BertModel(config).save_pretrained(options.folder)
    BertTokenizerFast.from_pretrained(options.folder).save_pretrained(options.folder)


if __name__ == "__main__":
    main()
