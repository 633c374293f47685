"""Named data sets downloaded from a local server, in the layouts in which they are published."""

import csv
import errno
import gzip
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from published import Publisher, dataset_of, paths, sha256, tarred, zipped

from bertune.data import named
from bertune.data.named import _dataset, defaults
from bertune.errors import DataError, ResourceError

DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")
SOURCE_FOLDER = Path(named.__file__).parents[3]


def lines(count: int, line: str, header: str = "") -> bytes:
    return (header + "".join(line.format(n=n) for n in range(count))).encode()


def cola_zip(num_train: int = 8551) -> bytes:
    folder = "cola_public/raw/"
    return zipped(
        {
            "cola_public/README": b"CoLA",
            folder + "in_domain_train.tsv": lines(num_train, "gj04\t1\t\tSentence {n}.\n"),
            folder + "in_domain_dev.tsv": lines(527, "gj04\t0\t*\tSentence {n}.\n"),
            # The published file ends without a newline.
            folder + "out_of_domain_dev.tsv": lines(516, "clc95\t1\t\tSentence {n}.\n").rstrip(b"\n"),
        }
    )


def in_cache(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_cola_is_extracted_from_its_zip(publisher: Publisher, cache: Path) -> None:
    publisher.publish("cola", {"cola_public_1.1.zip": cola_zip()})
    files = paths("cola")
    assert files == {
        "train": cache / "cola" / "in_domain_train.tsv",
        "validation": cache / "cola" / "in_domain_dev.tsv",
        "test": cache / "cola" / "out_of_domain_dev.tsv",
    }
    assert files["test"].read_bytes().endswith(b"Sentence 515.")
    assert in_cache(cache / "cola") == {path.name for path in files.values()}


def test_sst2_is_extracted_from_its_zip(publisher: Publisher, cache: Path) -> None:
    train = lines(67349, 'a "charming" journey {n} \t1\n', "sentence\tlabel\n")
    dev = lines(872, "bleak {n} \t0\n", "sentence\tlabel\n")
    members = {"SST-2/train.tsv": train, "SST-2/dev.tsv": dev, "SST-2/test.tsv": b"index\tsentence\n"}
    publisher.publish("sst2", {"SST-2.zip": zipped(members)})
    files = paths("sst2")
    assert files["train"].read_bytes() == train
    assert files["validation"].read_bytes() == dev
    assert "test" not in files


def mrpc_files(
    train: list[str], header: str, dev_ids: list[tuple[str, str]], test: bytes
) -> dict[str, bytes]:
    return {
        "msr_paraphrase_train.txt": (header + "".join(train)).encode(),
        "mrpc_dev_ids.tsv": "".join(f"{a}\t{b}\n" for a, b in dev_ids).encode(),
        "msr_paraphrase_test.txt": test,
    }


def test_mrpc_is_split_by_the_published_dev_ids(publisher: Publisher, cache: Path) -> None:
    header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    rows = [f'{n % 2}\t{n}\t{n + 9000}\tHe said "{n} .\tSo\x85 he said .\n' for n in range(4076)]
    dev_rows = rows[5::10][:408]
    # A reversed pair of ids is a different pair.
    dev_ids = [(row.split("\t")[1], row.split("\t")[2]) for row in reversed(dev_rows)]
    test = (header + rows[0] * 1725).encode()
    publisher.publish("mrpc", mrpc_files(rows, header, [*dev_ids, ("9000", "0")], test))
    publisher.check("mrpc", test=_dataset.has_lines(1726, columns=5))
    files = paths("mrpc")
    assert files["validation"].read_bytes() == (header + "".join(dev_rows)).encode()
    assert files["train"].read_bytes() == (header + "".join(r for r in rows if r not in dev_rows)).encode()
    assert files["test"].read_bytes() == test


REVIEWS = {
    "aclImdb/README": b"Large Movie Review Dataset",
    "aclImdb/train/pos/10_9.txt": b'Good, "very".<br />',
    "aclImdb/train/pos/9_7.txt": "caf\u00e9\x85 fine".encode(),
    "aclImdb/test/neg/0_1.txt": b"bad",
    "aclImdb/train/neg/2_4.txt": b"bad",
    "aclImdb/train/unsup/0_0.txt": b"nobody knows",
    "aclImdb/train/urls_neg.txt": b"http://",
    "aclImdb/test/pos/1_10.txt": b"good",
}


def test_imdb_becomes_one_csv_per_split_in_a_fixed_order(publisher: Publisher, cache: Path) -> None:
    publisher.publish("imdb", {"aclImdb_v1.tar.gz": tarred(REVIEWS)})
    columns = ["id", "text", "label"]
    publisher.check("imdb", train=_dataset.has_records(3, columns), test=_dataset.has_records(2, columns))
    files = paths("imdb")
    assert gzip.decompress(files["train"].read_bytes()).decode() == (
        "id,text,label\n"
        "train/neg/2_4,bad,0\n"
        "train/pos/9_7,caf\u00e9\x85 fine,1\n"
        'train/pos/10_9,"Good, ""very"".<br />",1\n'
    )
    test = gzip.decompress(files["test"].read_bytes()).decode()
    assert test == "id,text,label\ntest/neg/0_1,bad,0\ntest/pos/1_10,good,1\n"
    assert files["train"].read_bytes()[4:8] == bytes(4), "a time in the header would make every copy differ"


def test_imdb_with_a_missing_review_is_refused(publisher: Publisher, cache: Path) -> None:
    publisher.publish("imdb", {"aclImdb_v1.tar.gz": tarred(REVIEWS)})
    with pytest.raises(DataError, match=r"train\.csv\.gz: the file has 3 rows, expected 25000"):
        defaults("imdb")
    assert in_cache(cache / "imdb") == set()


def test_chnsenticorp_is_downloaded_unchanged(publisher: Publisher, cache: Path) -> None:
    files = {"train.tsv": "好\tpositive\n".encode(), "dev.tsv": "差\tnegative\n".encode()}
    publisher.publish("chnsenticorp", files)
    checks = {name: _dataset.has_sha256(sha256(content)) for name, content in files.items()}
    publisher.check("chnsenticorp", train=checks["train.tsv"], validation=checks["dev.tsv"])
    assert {path.name: path.read_bytes() for path in paths("chnsenticorp").values()} == files


def cord19_csv(rows: int = 50_001, queries: int = 50) -> bytes:
    return (
        lines(rows, "", "query,title,label\n")
        + "".join(f'query {n % queries},"Title, {n}",{n % 2}\n' for n in range(rows)).encode()
    )


def test_cord19_is_downloaded_unchanged(publisher: Publisher, cache: Path) -> None:
    publisher.publish("cord19", {"cord19-query-title-label.csv": cord19_csv()})
    found = defaults("cord19")
    assert found.notes == ()
    assert Path(found.settings["data"]["train"]).read_bytes() == cord19_csv()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (cord19_csv(rows=50_000), "the file has 50000 rows, expected more than 50000"),
        (cord19_csv(queries=49), "the file has 49 queries, expected 50"),
        (b"<html>\n", "the columns are <html>"),
        (b"query,title,label\n\xff\xfe,x,0\n", "the file cannot be read"),
    ],
    ids=["too short", "too few queries", "html", "no text"],
)
def test_an_unexpected_cord19_file_is_refused(
    publisher: Publisher, cache: Path, content: bytes, said: str
) -> None:
    publisher.publish("cord19", {"cord19-query-title-label.csv": content})
    with pytest.raises(DataError, match=said) as error:
        defaults("cord19")
    assert publisher.url in str(error.value)
    assert "set BERTUNE_DATA to a folder with cord19/cord19-query-title-label.csv" in str(error.value)
    assert in_cache(cache / "cord19") == set()


def test_a_login_page_instead_of_an_archive_is_not_kept(publisher: Publisher, cache: Path) -> None:
    publisher.publish("cola", {"cola_public_1.1.zip": b"<html>please log in</html>"})
    with pytest.raises(DataError, match=r"is not the published cola: .*corrupt or not an archive"):
        defaults("cola")
    assert in_cache(cache / "cola") == set()
    publisher.publish("cola", {"cola_public_1.1.zip": cola_zip()})
    assert paths("cola")["train"].is_file()


def test_an_archive_with_another_checksum_is_refused(publisher: Publisher, cache: Path) -> None:
    publisher.publish("sst2", {"SST-2.zip": zipped({"SST-2/train.tsv": b""})}, keep_sha256=True)
    with pytest.raises(DataError, match=r"the SHA-256 is \w+, expected d67e16fb"):
        defaults("sst2")


def test_without_a_network_the_error_says_what_to_do(publisher: Publisher, cache: Path) -> None:
    dataset = dataset_of("cola")
    publisher.change(
        "cola", replace(dataset, sources=(replace(dataset.sources[0], url=f"{publisher.url}/no"),))
    )
    with pytest.raises(DataError) as error:
        defaults("cola")
    text = str(error.value)
    assert text.startswith(f"could not download {publisher.url}/no: the server returned 404")
    assert f"save the file as {cache / 'cola' / 'downloads' / 'cola_public_1.1.zip'}" in text
    assert "BERTUNE_DATA to a folder with cola/in_domain_train.tsv, cola/in_domain_dev.tsv" in text


def test_an_archive_placed_in_the_cache_manually_is_used(publisher: Publisher, cache: Path) -> None:
    downloads = cache / "cola" / "downloads"
    downloads.mkdir(parents=True)
    (downloads / "cola_public_1.1.zip").write_bytes(cola_zip())
    publisher.publish("cola", {})
    assert paths("cola")["train"].parent == cache / "cola"
    assert not downloads.exists()


def test_cached_files_are_not_downloaded_again(publisher: Publisher, cache: Path) -> None:
    publisher.publish("cola", {"cola_public_1.1.zip": cola_zip()})
    first = paths("cola")
    (publisher.folder / "cola_public_1.1.zip").unlink()
    assert paths("cola") == first


def test_a_damaged_cache_is_named_and_not_used(publisher: Publisher, cache: Path) -> None:
    publisher.publish("cola", {"cola_public_1.1.zip": cola_zip()})
    train = paths("cola")["train"]
    train.write_bytes(train.read_bytes()[:1000])
    with pytest.raises(
        DataError, match=r"in_domain_train\.tsv is not the published file of cola: line \d+ has"
    ):
        defaults("cola")
    train.unlink()
    assert paths("cola")["train"].read_bytes().count(b"\n") == 8551


def test_a_full_disk_while_extracting_leaves_no_partial_file_and_keeps_the_download(
    publisher: Publisher, cache: Path
) -> None:
    def full(sources: Mapping[str, Path], folder: Path) -> None:
        (folder / "in_domain_train.tsv").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    publisher.publish("cola", {"cola_public_1.1.zip": cola_zip()})
    whole = dataset_of("cola")
    publisher.change("cola", replace(whole, build=full))
    with pytest.raises(ResourceError, match="the disk is full"):
        defaults("cola")
    assert in_cache(cache / "cola") == {"downloads"}
    publisher.change("cola", whole)
    (publisher.folder / "cola_public_1.1.zip").unlink()
    assert paths("cola")["train"].is_file()


def test_two_processes_can_download_the_same_data_set(publisher: Publisher, cache: Path) -> None:
    (publisher.folder / "cola_public_1.1.zip").write_bytes(cola_zip())
    script = f"""
from dataclasses import replace
from bertune.data.named import cola, defaults
source = replace(cola.DATASET.sources[0], url="{publisher.url}/cola_public_1.1.zip")
cola.DATASET = replace(cola.DATASET, sources=(source,))
defaults("cola")
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE_FOLDER)}
    processes = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert in_cache(cache / "cola") == {file.name for file in dataset_of("cola").files}


@needs_data
@pytest.mark.parametrize("name", ["cola", "chnsenticorp", "sst2", "mrpc"])
def test_the_published_files_survive_a_round_trip_byte_for_byte(publisher: Publisher, name: str) -> None:
    assert DATA is not None
    own = {file.name: (Path(DATA) / name / file.name).read_bytes() for file in dataset_of(name).files}
    if name == "mrpc":
        header, *train = own["train.tsv"].decode().splitlines(keepends=True)
        dev = own["dev.tsv"].decode().splitlines(keepends=True)[1:]
        dev_ids = [(line.split("\t")[1], line.split("\t")[2]) for line in dev]
        published = mrpc_files(dev + train, header, dev_ids, own["msr_paraphrase_test.txt"])
        # Same size and content in another order, so the checksum of the training file differs.
        assert len(published["msr_paraphrase_train.txt"]) == 1047044
    elif name == "chnsenticorp":
        published = own
    else:
        folder = "cola_public/raw/" if name == "cola" else "SST-2/"
        published = {dataset_of(name).sources[0].file: zipped({folder + n: own[n] for n in own})}
    publisher.publish(name, published, keep_sha256=name == "chnsenticorp")
    assert {path.name: path.read_bytes() for path in paths(name).values()} == own


@pytest.mark.slow
@needs_data
def test_the_published_reviews_of_imdb_survive_a_round_trip(publisher: Publisher) -> None:
    assert DATA is not None
    own, members = {}, {}
    for split in ("train", "test"):
        own[split] = content = gzip.decompress((Path(DATA) / "imdb" / f"{split}.csv.gz").read_bytes())
        for identity, text, _ in reversed(list(csv.reader(io.StringIO(content.decode(), newline="")))[1:]):
            members[f"aclImdb/{identity}.txt"] = text.encode()
    publisher.publish("imdb", {"aclImdb_v1.tar.gz": tarred(members)})
    found = paths("imdb")
    for split, content in own.items():
        assert gzip.decompress(found[split].read_bytes()) == content, split
