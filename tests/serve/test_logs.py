"""Logs: one event per line, with facts, and never with a text of a request."""

import io
import json
import logging

import pytest

from bertune.serve import logs

TEXT = "my secret diary"


@pytest.fixture
def logger() -> logging.Logger:
    return logging.Logger("any")  # in no hierarchy, so that nothing else sees its records


def written(logger: logging.Logger, formatter: logging.Formatter) -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return stream


def test_an_event_is_a_json_object(logger: logging.Logger) -> None:
    stream = written(logger, logs.JsonLines())
    logs.event(logger, logging.INFO, "request", status=200, endpoint='/a"b\n')
    logs.event(logger, logging.WARNING, "export not used", folder="Übung")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {"level": "info", "event": "request", "status": 200, "endpoint": '/a"b\n'}
    assert (second["level"], second["folder"]) == ("warning", "Übung")


def test_the_facts_of_an_unexpected_error_can_be_logged(logger: logging.Logger) -> None:
    stream = written(logger, logs.JsonLines())
    with logs.Logged(logger):
        raise KeyError(TEXT)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["error"]) == ("unexpected error", "error", "KeyError")
    assert "test_logs.py" in line["at"][-1]
    assert "secret" not in stream.getvalue()


def test_an_event_can_have_happened_earlier(logger: logging.Logger) -> None:
    stream = written(logger, logs.JsonLines())
    logs.event(logger, logging.INFO, "request", created=1e9 + 0.25, status=200)
    assert json.loads(stream.getvalue())["time"] == "2001-09-09T01:46:40.250+00:00"


def test_a_line_for_a_terminal_has_no_control_characters(logger: logging.Logger) -> None:
    stream = written(logger, logs.KeyValues())
    logs.event(logger, logging.INFO, "request", status=200, endpoint="/a\x1b[31m\nb", model="two words")
    line = stream.getvalue()
    assert line.count("\n") == 1 and "\x1b" not in line
    assert " info request status=200 " in line
    assert line.endswith(' model="two words"\n')


@pytest.mark.parametrize("formatter", [logs.JsonLines(), logs.KeyValues()])
def test_an_unexpected_error_is_logged_without_its_message(
    logger: logging.Logger, formatter: logging.Formatter
) -> None:
    stream = written(logger, formatter)
    try:
        raise ValueError(f"cannot read {TEXT}")
    except ValueError as error:
        logger.error("Exception in ASGI application\n", exc_info=error)
    line = stream.getvalue()
    assert "secret" not in line
    assert "ValueError" in line
    assert "test_logs.py" in line
