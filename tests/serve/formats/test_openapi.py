"""Requests generated from the OpenAPI document, and requests that break it: all get an answer."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from running import Running
from schemathesis.generation.modes import GenerationMode

EXAMPLES = 5  # of each operation with a body


def operations(running: Running) -> Iterator[Any]:
    """The operations of the OpenAPI document of a service."""
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    for found in schema.get_all_operations():
        yield found.ok()


def has_schema(operation: Any) -> bool:
    """Whether the document says what the body of an operation looks like, so that it can be broken."""
    content = operation.definition.raw.get("requestBody", {}).get("content", {})
    return "schema" in content.get("application/json", {})


@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value
)
def test_no_request_makes_the_service_fail(every: Running, mode: GenerationMode) -> None:
    names = list(every.service.models)
    seen: set[tuple[str, int]] = set()

    def send(operation: Any) -> None:
        @settings(
            max_examples=EXAMPLES if operation.body else 1,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), name=st.sampled_from(names))
        def call(case: Any, name: str) -> None:
            if "name" in case.path_parameters:
                case.path_parameters["name"] = name
            response = case.call()
            seen.add((operation.label, response.status_code))
            assert response.status_code < 500, f"{case.as_curl_command()}\n{response.text}"

        call()

    for operation in operations(every):
        if mode is GenerationMode.POSITIVE or has_schema(operation):
            send(operation)
    refused = {label for label, status in seen if 400 <= status < 500}
    assert len(refused) > 10, "the bodies are not varied enough"
