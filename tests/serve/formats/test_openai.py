"""The openai client gets vectors, and its own exceptions for what is refused."""

from collections.abc import Callable, Iterator

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI
from running import Running

from bertune.predict.model import Model

Library = Callable[[str], Model]
TEXT, OTHER = "a lovely lamp", "the pump broken"


@pytest.fixture(scope="module")
def client(every: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{every.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def test_vectors_come_as_base64_or_as_numbers(client: OpenAI, library: Library) -> None:
    expected = library("vectors").encode([TEXT, OTHER])
    plain = client.embeddings.create(model="vectors", input=[TEXT, OTHER])  # base64, which the client decodes
    numbers = client.embeddings.create(model="vectors", input=[TEXT, OTHER], encoding_format="float")
    for found in (plain, numbers):
        np.testing.assert_allclose([one.embedding for one in found.data], expected, atol=1e-6)
        assert [one.index for one in found.data] == [0, 1]
        assert found.model == "vectors"
    with httpx.Client() as http:  # what the default of the format is, without the client's own
        body = {"model": "vectors", "input": TEXT}
        raw = http.post(f"{client.base_url}embeddings", json=body).json()
    np.testing.assert_allclose(raw["data"][0]["embedding"], expected[0], atol=1e-6)


def test_usage_counts_the_tokens(client: OpenAI) -> None:
    found = client.embeddings.create(model="vectors", input=["my phone", "the box of my phone"])
    assert found.usage.prompt_tokens == found.usage.total_tokens == (2 + 2) + (5 + 2)  # with [CLS] and [SEP]


def test_vectors_of_a_trained_size(client: OpenAI) -> None:
    found = client.embeddings.create(model="vectors", input=TEXT, dimensions=16)
    assert np.linalg.norm(found.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert len(found.data[0].embedding) == 16
    with pytest.raises(openai.UnprocessableEntityError, match="dimensions must be one of 8, 16, 36, got 20"):
        client.embeddings.create(model="vectors", input=TEXT, dimensions=20)


def test_the_models_are_listed(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert "vectors" in names and "topics" in names
    assert client.models.retrieve("vectors").owned_by == "bertune"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("vector")


def test_long_texts_are_truncated_on_request(client: OpenAI, library: Library) -> None:
    text = "so " * 70
    with pytest.raises(openai.APIStatusError, match="has 72 tokens, but this model reads at most 64") as info:
        client.embeddings.create(model="vectors", input=text)
    assert info.value.status_code == 413
    found = client.embeddings.create(model="vectors", input=text, extra_body={"truncate": True})
    np.testing.assert_allclose(found.data[0].embedding, library("vectors").encode([text])[0], atol=1e-6)


def test_an_unknown_model_is_named(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match='Did you mean "vectors"') as info:
        client.embeddings.create(model="vector", input=TEXT)
    assert info.value.code == "model_not_found"
    assert info.value.type == "invalid_request_error"


def test_a_model_without_vectors_says_what_it_predicts(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match=r'"topics" predicts .*use /predict'):
        client.embeddings.create(model="topics", input=TEXT)


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_token_ids_of_another_tokenizer_are_refused(client: OpenAI, tokens: list[int]) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="token IDs of another tokenizer"):
        client.embeddings.create(model="vectors", input=tokens)


def test_an_invalid_body_names_the_parameter(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as info:
        client.embeddings.create(model="vectors", input=TEXT, encoding_format="hex")  # type: ignore[call-overload]
    assert info.value.param == "encoding_format"
    with pytest.raises(openai.UnprocessableEntityError, match="the example is blank"):
        client.embeddings.create(model="vectors", input="")
