"""Encoders without fine-tuning, served for embeddings: the vectors are those of transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from running import serving
from transformers import AutoModel, AutoTokenizer

from bertune.errors import ConfigError
from bertune.serve.untuned import load_untuned
from bertune.settings import resolve

TEXTS = ["a lovely lamp", "the pump was broken and dull", "great"]


def expected(folder: Path, pooling: str, layer: int) -> np.ndarray:
    """One vector per text by transformers, each text on its own."""
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    vectors = []
    with torch.inference_mode():
        for text in TEXTS:
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
            hidden = states[layer][0]
            vectors.append(hidden[0] if pooling == "cls" else hidden.mean(0))
    stacked = torch.stack(vectors)
    return (stacked / stacked.norm(dim=1, keepdim=True)).numpy()


@pytest.mark.parametrize(
    ("pooling", "layer"), [("mean", -1), ("cls", -1), ("mean", 1), ("cls", 0), ("mean", -3)]
)
def test_the_vectors_are_those_of_transformers(tiny_weights: Path, pooling: str, layer: int) -> None:
    settings = {"serve": {"pooling": pooling, "layer": layer}, "machine": {"precision": "fp32", "threads": 1}}
    model = load_untuned(str(tiny_weights), resolve(settings))
    np.testing.assert_allclose(model.encode(TEXTS), expected(tiny_weights, pooling, layer), atol=1e-5)


def test_families_that_run_padded_give_the_vectors_of_transformers(
    tmp_path: Path, tiny_weights: Path
) -> None:
    from transformers import AlbertConfig, AlbertModel

    tokenizer = AutoTokenizer.from_pretrained(tiny_weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = AlbertModel(
            AlbertConfig(
                vocab_size=len(tokenizer), embedding_size=8, hidden_size=16, num_hidden_layers=2,
                num_attention_heads=2, intermediate_size=20, max_position_embeddings=64,
                initializer_range=0.2,
            )
        )  # fmt: skip
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    found = load_untuned(str(tmp_path), resolve({"serve": {"layer": 1}, "machine": {"precision": "fp32"}}))
    np.testing.assert_allclose(found.encode(TEXTS), expected(tmp_path, "mean", 1), atol=1e-5)


def test_a_layer_that_does_not_exist_is_refused(tiny_weights: Path) -> None:
    for layer in (3, -4):
        with pytest.raises(ConfigError, match=f"serve.layer={layer}: the encoder has 2 layers"):
            load_untuned(str(tiny_weights), resolve({"serve": {"layer": layer}}))


def test_an_untuned_encoder_is_served(tiny_weights: Path) -> None:
    given = {"machine": {"precision": "fp32"}, "serve": {"pooling": "cls", "layer": -2}}
    with serving([f"enc={tiny_weights}"], given) as running, running.client() as client:
        rows = client.post("/models/enc/predict", json={"rows": TEXTS}).json()["predictions"]
        facts = client.get("/models").json()["models"][0]
    vectors = np.array([row["vector"] for row in rows])
    np.testing.assert_allclose(vectors, expected(tiny_weights, "cls", -2), atol=1e-5)
    assert (facts["format"], facts["pooling"], facts["vector_size"]) == ("pretrained", "cls", 36)
