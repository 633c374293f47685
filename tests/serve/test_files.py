"""Files are labelled in the background, as by the library, within limits, and without delaying requests."""

import csv
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from running import Held, Running, held, serving, wait_until

import bertune as bt
from bertune.serve.files import MOST_JOBS
from bertune.serve.queued import pieces
from bertune.serve.service import ServedModel
from bertune.serve.uploads import safe_name
from bertune.text.sequences import Sequence
from small_texts import labelled_texts

UPLOAD = "/models/reviews/files"


def send(client: httpx.Client, name: str, content: bytes, **fields: str) -> httpx.Response:
    return client.post(UPLOAD, files={"file": (name, content)}, data=fields)


def job_of(client: httpx.Client, name: str, content: bytes, **fields: str) -> str:
    found = send(client, name, content, **fields)
    assert found.status_code == 202, found.text
    job: str = found.json()["job"]
    return job


def finished(client: httpx.Client, job: str) -> dict[str, Any]:
    """The state of a job at its end."""
    deadline = time.monotonic() + 60
    while True:
        state: dict[str, Any] = client.get(f"/jobs/{job}").json()
        if state["state"] not in ("waiting", "reading", "running"):
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.02)


def reviews_csv(rows: int) -> bytes:
    return "".join(["text\n", *(f"{text}\n" for text, _ in labelled_texts(rows))]).encode()


def folders(running: Running) -> list[Path]:
    """What is left of all jobs on disk."""
    folder = running.service.jobs.folder
    return list(folder.iterdir()) if folder is not None and folder.exists() else []


@pytest.fixture
def slow(reviews_run: Path) -> Iterator[tuple[Running, Held]]:
    """A service whose model computes batches of at most 64 tokens, each when the test lets it."""
    backends: list[Held] = []

    def change(models: dict[str, ServedModel]) -> dict[str, ServedModel]:
        served, backend = held(models["reviews"], max_tokens=64)
        backends.append(backend)
        return {"reviews": served}

    with serving([reviews_run], change=change) as running:
        try:
            yield running, backends[0]
        finally:
            backends[0].let()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("reviews.csv", "csv"),
        ("reviews.tsv", "jsonl"),
        ("reviews.jsonl", "jsonl"),
        ("reviews.xlsx", "parquet"),
        ("reviews.parquet", "csv"),
    ],
)
def test_the_result_is_that_of_the_library(
    reviews: Running, reviews_run: Path, tmp_path: Path, name: str, written: str
) -> None:
    rows = [(text, f'a "quoted",\nnote {n}') for n, (text, _) in enumerate(labelled_texts(60))]
    rows[3] = ("", "blank")
    given, expected = tmp_path / name, tmp_path / f"expected.{written}"
    write_table(given, rows)
    model = bt.load(reviews_run, settings={"machine.threads": 1})
    model.predict_file(given, expected)
    with reviews.client() as client:
        job = job_of(client, name, given.read_bytes(), format=written)
        state = finished(client, job)
        assert (state["state"], state["rows"], state["total"], state["blank"]) == ("done", 60, 60, 1)
        result = client.get(f"/jobs/{job}/result")
    assert f'filename="reviews.labelled.{written}"' in result.headers["content-disposition"]
    found = tmp_path / f"found.{written}"
    found.write_bytes(result.content)
    assert_same_table(found, expected)


def write_table(path: Path, rows: list[tuple[str, str]]) -> None:
    import pandas

    frame = pandas.DataFrame(rows, columns=["text", "note"])
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


def assert_same_table(found: Path, expected: Path) -> None:
    """All cells are equal; numbers up to the rounding of batches of another size."""
    import pandas

    readers: dict[str, Any] = {
        ".csv": pandas.read_csv,
        ".jsonl": lambda path: pandas.json_normalize(list(map(json.loads, path.read_text().splitlines()))),
        ".parquet": lambda path: pandas.json_normalize(pandas.read_parquet(path).to_dict("records")),
    }
    read = readers[found.suffix]
    pandas.testing.assert_frame_equal(read(found), read(expected), rtol=0, atol=1e-6)


def test_text_columns_can_be_chosen(reviews: Running, reviews_run: Path) -> None:
    content = b"id,first,second\n1,great phone,useless\n2,useless,great phone\n"
    model = bt.load(reviews_run, settings={"machine.threads": 1})
    with reviews.client() as client:
        failed = finished(client, job_of(client, "two.csv", content))
        assert failed["state"] == "failed"
        assert failed["error"].startswith("two.csv: could not identify the text column")
        assert "/" not in failed["error"], "no path of the server"
        job = job_of(client, "two.csv", content, text="second")
        assert finished(client, job)["state"] == "done"
        result = client.get(f"/jobs/{job}/result").text
    found = [float(row["probabilities.good"]) for row in csv.DictReader(io.StringIO(result))]
    expected = [p.probabilities["good"] for p in model.predict(["useless", "great phone"])]
    assert found == pytest.approx(expected, abs=1e-6)


def test_rows_that_cannot_be_predicted_are_reported(reviews: Running) -> None:
    content = b'{"text": "great phone"}\n{"text": ["a", "list"]}\n'
    with reviews.client() as client:
        state = finished(client, job_of(client, "texts.jsonl", content, format="jsonl"))
    assert (state["state"], state["failed"]) == ("done", 1)
    (failure,) = state["failures"]
    assert failure.startswith("texts.jsonl, line 2")


@pytest.mark.parametrize(
    ("name", "content", "fields", "status", "message"),
    [
        ("reviews.exe", b"text", {}, 422, "does not have the suffix of a table. Expected one of: .bio"),
        ("reviews.csv.gz", b"text", {}, 422, "suffix"),
        ("reviews", b"text", {}, 422, "suffix"),
        (
            "reviews.csv",
            b"text\ngood\n",
            {"format": "xlsx"},
            422,
            'cannot write "xlsx". Expected one of: csv',
        ),
        ("reviews.csv", b"text\ngood\n", {"columns": "text"}, 422, 'unknown field "columns"'),
        ("reviews.csv", b"text\ngood\n", {"text": "x" * 20_000}, 413, 'the field "text" is longer'),
        ("reviews.csv", b"text\n" + b"good\n" * 30_000, {}, 413, "larger than 0.1 MB (serve.max_file_mb)"),
    ],
)
def test_an_upload_that_is_refused_leaves_nothing(
    small_files: Running, name: str, content: bytes, fields: dict[str, str], status: int, message: str
) -> None:
    with small_files.client() as client:
        found = send(client, name, content, **fields)
    assert (found.status_code, message in found.json()["error"]) == (status, True), found.text
    assert folders(small_files) == []


@pytest.fixture(scope="module")
def small_files(reviews_run: Path) -> Iterator[Running]:
    """A service for files of at most 0.1 MB."""
    with serving([reviews_run], {"serve": {"max_file_mb": 0.1, "max_body_mb": 0.01}}) as running:
        yield running


def test_a_file_may_be_larger_than_the_body_of_a_request(small_files: Running) -> None:
    with small_files.client() as client:
        state = finished(client, job_of(client, "reviews.csv", b"text\n" + b"good phone\n" * 2000))
        assert (state["state"], state["rows"]) == ("done", 2000)
        refused = client.post("/models/reviews/predict", json={"rows": ["good"] * 2000})
    assert refused.status_code == 413


@pytest.mark.parametrize("body", [b"", b"not a form", b"--x\r\nbroken"])
def test_a_malformed_form_is_refused(reviews: Running, body: bytes) -> None:
    before = folders(reviews)
    with reviews.client() as client:
        for kind in ("text/csv", "multipart/form-data; boundary=x", "multipart/form-data"):
            found = client.post(UPLOAD, content=body, headers={"Content-Type": kind})
            assert found.status_code == 400, (kind, found.text)
    assert folders(reviews) == before


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("reviews.csv", "reviews.csv"),
        ("../../etc/passwd.csv", "passwd.csv"),
        ("C:\\files\\Mäntel 电池.CSV", "Mäntel 电池.CSV"),
        ("a\r\nb\x00*?[x].csv", "a__b____x_.csv"),
        ('"quoted";.csv', "_quoted__.csv"),
        ("..csv", "csv"),
        ("", "file"),
        ("电" * 200 + ".jsonl", "电" * 40 + ".jsonl"),
    ],
)
def test_file_names_are_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe


def test_a_name_with_folders_is_written_in_the_folder_of_the_job(reviews: Running) -> None:
    with reviews.client() as client:
        job = job_of(client, "../../up.csv", reviews_csv(3))
        state = finished(client, job)
        client.delete(f"/jobs/{job}")
    assert (state["state"], state["file"], state["result"]) == ("done", "up.csv", "up.labelled.csv")


def test_requests_do_not_wait_for_files(slow: tuple[Running, Held]) -> None:
    running, backend = slow
    batcher = running.service.models["reviews"].batcher
    text = "so " * 39 + "great"  # 42 tokens, more than any text of the file
    with running.client() as client, ThreadPoolExecutor(1) as pool:
        job = job_of(client, "reviews.csv", reviews_csv(200))
        backend.wait()  # the first batch of the file is being computed
        waiting = batcher.queued_tokens
        request = pool.submit(client.post, "/models/reviews/predict", json={"rows": [text]})
        wait_until(lambda: batcher.queued_tokens != waiting)
        backend.let()
        assert request.result(timeout=60).status_code == 200
        assert finished(client, job)["rows"] == 200
    place = next(number for number, lengths in enumerate(backend.batches) if 42 in lengths)
    assert place <= 6 < len(backend.batches) - 6, "ahead of most of the file, behind what was queued at most"


def test_a_job_can_be_cancelled(slow: tuple[Running, Held]) -> None:
    running, backend = slow
    with running.client() as client:
        job = job_of(client, "reviews.csv", reviews_csv(100))
        backend.wait()
        assert client.get(f"/jobs/{job}/result").status_code == 409
        assert client.delete(f"/jobs/{job}").status_code == 204
        backend.let()
        gone = [client.get(f"/jobs/{job}"), client.get(f"/jobs/{job}/result"), client.delete(f"/jobs/{job}")]
        assert [answer.status_code for answer in gone] == [404, 404, 404]
        assert client.post("/models/reviews/predict", json={"rows": ["good"]}).status_code == 200
    computed = sum(map(len, backend.batches))
    assert computed < 60, "only the piece in the queue, of 2 batches of 64 tokens, and the request"
    assert folders(running) == []


def test_only_a_few_files_are_labelled_at_a_time(slow: tuple[Running, Held]) -> None:
    running, backend = slow
    with running.client() as client:
        jobs = [job_of(client, "reviews.csv", reviews_csv(20)) for _ in range(MOST_JOBS)]
        refused = send(client, "reviews.csv", reviews_csv(20))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        backend.let()
        assert {finished(client, job)["state"] for job in jobs} == {"done"}
        assert finished(client, job_of(client, "reviews.csv", reviews_csv(20)))["state"] == "done"


def test_all_files_are_removed_at_the_end(reviews_run: Path) -> None:
    with serving([reviews_run]) as running, running.client() as client:
        finished(client, job_of(client, "reviews.csv", reviews_csv(5)))
        folder = running.service.jobs.folder
        assert folder is not None
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(folders(running)) == 1
    assert not folder.exists()


def test_the_token_protects_files(reviews_run: Path) -> None:
    with serving([reviews_run], token="sesame") as running:  # noqa: SIM117 - the clients need its address
        with running.client(headers={"Authorization": "Bearer sesame"}) as known, running.client() as unknown:
            job = job_of(known, "reviews.csv", reviews_csv(5))
            assert finished(known, job)["state"] == "done"
            answers = [
                send(unknown, "reviews.csv", reviews_csv(5)),
                unknown.get(f"/jobs/{job}"),
                unknown.get(f"/jobs/{job}/result"),
                unknown.delete(f"/jobs/{job}"),
                unknown.post("/models/reviews/explain", json={"row": "good"}),
            ]
            assert [answer.status_code for answer in answers] == [401] * 5
            assert known.get(f"/jobs/{job}/result").status_code == 200
            assert unknown.get("/").status_code == 200, "the page asks for the token itself"
            assert unknown.get("/page/main.js").status_code == 200


def test_pieces_keep_examples_together_and_within_the_limit() -> None:
    lengths = [(0, 5), (0, 6), (1, 30), (2, 1), (3, 2), (3, 2), (4, 9)]
    sequences = [Sequence(np.zeros(n, np.int32), np.zeros(n, np.uint8), group) for group, n in lengths]
    found = list(pieces(sequences, 12))
    assert found == [[3, 4, 5], [6], [0, 1], [2]]
    assert list(pieces([], 12)) == []
