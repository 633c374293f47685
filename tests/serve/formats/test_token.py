"""With a bearer token, every client sends it in its own way, and reports a wrong one in its own way."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from huggingface_hub import InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError
from jevcompat.runner import run
from running import Running, serving

TOKEN = "a-secret-token"


@pytest.fixture(scope="module")
def guarded(models: dict[str, Path]) -> Iterator[Running]:
    """A service with a token for a classifier and an embedding model."""
    with serving([models["decisions"], models["vectors"]], token=TOKEN) as found:
        yield found


def test_openai(guarded: Running) -> None:
    with openai.OpenAI(base_url=f"{guarded.url}/v1", api_key=TOKEN) as client:
        assert client.embeddings.create(model="vectors", input="my phone").data
    with (
        openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as info,
    ):
        client.embeddings.create(model="vectors", input="my phone")
    assert info.value.code == "invalid_api_key"


def test_hugging_face(guarded: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    url = f"{guarded.url}/models/decisions"
    assert InferenceClient(model=url, token=TOKEN).text_classification("my phone")
    with pytest.raises(HfHubHTTPError, match="the bearer token is wrong"):
        InferenceClient(model=url, token="wrong").text_classification("my phone")


def test_system_one(guarded: Running) -> None:
    report = run(guarded.url, key=TOKEN, only={"auth"})
    results = {r.id: r.status for r in report.results if r.id.startswith("auth.")}
    assert results.pop("auth.ignored-when-off") == "skip"
    assert results == {"auth.bearer": "pass", "auth.missing": "pass", "auth.invalid": "pass"}


def test_the_page_needs_no_token_but_predictions_at_its_path_do(guarded: Running) -> None:
    with guarded.client() as client:
        assert client.get("/").status_code == 200
        assert client.get("/health").status_code == 200
        refused = client.post("/", json={"inputs": "my phone"})
    assert refused.status_code == 401


def test_label_studio_sends_it_as_a_password(guarded: Running) -> None:
    with guarded.client() as client:
        found = client.get("/label-studio/health", auth=("anybody", TOKEN))
        refused = [client.get("/label-studio/health", auth=(TOKEN, password)) for password in ("", "wrong")]
        broken = client.get("/label-studio/health", headers={"Authorization": "Basic %%%"})
    assert found.status_code == 200
    assert [one.status_code for one in (*refused, broken)] == [401] * 3
