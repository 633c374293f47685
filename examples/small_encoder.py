"""Creates a small encoder without weights for texts of any language: config.json and vocab.txt.

    python examples/small_encoder.py texts.txt ckpts/small
    bertune train reviews.csv model.name=ckpts/small

The vocabulary is built from the texts. Each Chinese character is a token; other words are tokens if they
occur at least twice, and are otherwise split into letters. The encoder is randomly initialized and trained on
your labelled texts only, which requires many of them. Use pretrained weights whenever possible.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MOST_WORDS = 20_000


def main(texts: Path, folder: Path) -> None:
    """Counts the words of a text file and writes the model folder."""
    words: Counter[str] = Counter()
    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    with texts.open(encoding="utf-8") as lines:
        for line in lines:
            words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(line)))
    letters = sorted({letter for word in words for letter in word})
    whole = [word for word, count in words.most_common(MOST_WORDS) if count > 1 and len(word) > 1]
    vocabulary = SPECIAL + letters + [f"##{letter}" for letter in letters] + whole

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = {
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 512,
        "max_position_embeddings": 512,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    sys.stderr.write(f"{folder}: {len(vocabulary):,} tokens in the vocabulary\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python small_encoder.py TEXTS FOLDER")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
