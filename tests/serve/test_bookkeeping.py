"""What is recorded about requests later than they are answered: nothing is lost, and the order stays."""

import asyncio
import json
import logging
import time
from functools import partial
from pathlib import Path

import pytest
from running import serving

from bertune.serve import bookkeeping as module
from bertune.serve.bookkeeping import Bookkeeping
from bertune.serve.logs import ACCESS, JsonLines


@pytest.mark.parametrize("number", [1, 2, module._TOGETHER, 3 * module._TOGETHER + 1])
def test_every_entry_is_recorded_in_order(number: int) -> None:
    found: list[int] = []

    async def recorded() -> None:
        bookkeeping = Bookkeeping()
        for value in range(number):
            bookkeeping.add(partial(found.append, value))
        assert found == []  # nobody waits for them
        async with asyncio.timeout(60):
            while len(found) < number:
                await asyncio.sleep(0.01)

    asyncio.run(recorded())
    assert found == list(range(number))


def test_many_entries_do_not_wait_for_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LATEST", 1e6)
    found: list[int] = []

    async def recorded() -> None:
        bookkeeping = Bookkeeping()
        for value in range(module._TOGETHER):
            bookkeeping.add(partial(found.append, value))
        await asyncio.sleep(0)

    asyncio.run(recorded())
    assert len(found) == module._TOGETHER


def test_settled_entries_are_not_recorded_again() -> None:
    found: list[int] = []

    async def recorded() -> None:
        bookkeeping = Bookkeeping()
        bookkeeping.add(partial(found.append, 1))
        bookkeeping.settle()
        bookkeeping.settle()
        await asyncio.sleep(2 * module._LATEST)

    asyncio.run(recorded())
    assert found == [1]


@pytest.mark.parametrize("is_settled", [False, True])
def test_an_entry_that_fails_is_logged_without_its_message(
    is_settled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[int] = []

    async def recorded() -> None:
        bookkeeping = Bookkeeping()
        for entry in (partial(found.append, 1), partial(int, "a secret text"), partial(found.append, 2)):
            bookkeeping.add(entry)
        if is_settled:
            bookkeeping.settle()
        async with asyncio.timeout(60):
            while len(found) < 2:
                await asyncio.sleep(0.01)

    asyncio.run(recorded())
    assert found == [1, 2]
    [record] = caplog.records
    line = JsonLines().format(record)
    assert json.loads(line)["error"] == "ValueError"
    assert "secret" not in line


def test_the_event_loop_turns_to_requests_between_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 0.001)
    order: list[str] = []

    def entry() -> None:
        order.append("entry")
        time.sleep(0.002)

    async def recorded() -> None:
        bookkeeping = Bookkeeping()
        for _ in range(module._TOGETHER):
            bookkeeping.add(entry)
        async with asyncio.timeout(60):
            while order.count("entry") < module._TOGETHER:
                order.append("request")
                await asyncio.sleep(0)

    asyncio.run(recorded())
    assert order.count("request") > module._TOGETHER // 2


def test_a_service_that_stops_has_logged_every_request(
    reviews_run: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LATEST", 1e6)
    caplog.set_level(logging.INFO, ACCESS)
    with serving([reviews_run]) as running, running.client() as client:
        for path in ("/models", "/ready", "/nothing"):
            client.get(path)
    logged = [vars(record)["facts"] for record in caplog.records if record.name == ACCESS]
    assert [(facts["endpoint"], facts["status"]) for facts in logged] == [
        ("/models", 200),
        ("/ready", 200),
        ("unmatched", 404),
    ]
