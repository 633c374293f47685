"""Extraction of real archives, most of them malicious or corrupt."""

import gzip
import io
import random
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bertune.data.archives import Limits, extract, read_members
from bertune.errors import DataError

WANTED = {"data/train.tsv": "train.tsv", "data/dev.tsv": "dev.tsv"}
TRAIN, DEV = b"one\t1\n" * 500, "zwei\t2\né\t3\n".encode()
ZEROS = bytes(40 << 20)


def zipped(path: Path, members: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in (members or {"data/train.tsv": TRAIN, "data/dev.tsv": DEV}).items():
            file.writestr(name, content)
    return path


def tarred(path: Path, *odd: tarfile.TarInfo, members: dict[str, bytes] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for info in odd:
            file.addfile(info)
        for name, content in (members or {"data/train.tsv": TRAIN, "data/dev.tsv": DEV}).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def odd(name: str, kind: bytes, points_to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, points_to
    return info


def refused(archive: Path, folder: Path, limits: Limits | None = None) -> str:
    """The error message. Checks that nothing is left in the folder."""
    with pytest.raises(DataError) as error:
        extract(archive, WANTED, folder, limits or Limits())
    assert list(folder.iterdir()) == []
    assert str(archive) in str(error.value)
    return str(error.value)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("name", "packed"), [("a.zip", zipped), ("a.tar.gz", tarred), ("a.tgz", tarred)])
def test_only_the_members_asked_for_are_unpacked(
    tmp_path: Path, out: Path, name: str, packed: Callable[..., Path]
) -> None:
    archive = packed(tmp_path / name, members={"readme": b"no", "data/train.tsv": TRAIN, "data/dev.tsv": DEV})
    extract(archive, WANTED, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"train.tsv": TRAIN, "dev.tsv": DEV}


def test_a_missing_member_is_named_and_the_others_are_not_extracted(tmp_path: Path, out: Path) -> None:
    text = refused(zipped(tmp_path / "a.zip", {"data/train.tsv": TRAIN}), out)
    assert "does not contain data/dev.tsv" in text


def test_existing_files_survive_a_refusal(tmp_path: Path, out: Path) -> None:
    (out / "train.tsv").write_bytes(b"mine")
    with pytest.raises(DataError):
        extract(zipped(tmp_path / "a.zip", {"data/train.tsv": TRAIN}), WANTED, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"train.tsv": b"mine"}


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "data/../../evil",
        "data/../train.tsv",
        "/etc/evil",
        "//evil",
        "C:\\evil",
        "C:evil",
        "..\\evil",
        "\\evil",
    ],
)
@pytest.mark.parametrize(("suffix", "packed"), [("zip", zipped), ("tar.gz", tarred)])
def test_an_archive_with_a_path_outside_the_folder_is_refused(
    tmp_path: Path, out: Path, name: str, suffix: str, packed: Callable[..., Path]
) -> None:
    members = {"data/train.tsv": TRAIN, name: b"x", "data/dev.tsv": DEV}
    text = refused(packed(tmp_path / f"a.{suffix}", members=members), out)
    assert "has a path outside the target folder" in text
    assert repr(name) in text
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{suffix}", "out"]


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (
            odd("link", tarfile.SYMTYPE, "../../etc"),
            "a link to a path outside the target folder, '../../etc'",
        ),
        (odd("data/link", tarfile.SYMTYPE, "/etc/passwd"), "a path outside the target folder, '/etc/passwd'"),
        (odd("data/deep/link", tarfile.LNKTYPE, "../x"), "a path outside the target folder, '../x'"),
        (odd("data/null", tarfile.CHRTYPE), "is a device"),
        (odd("data/pipe", tarfile.FIFOTYPE), "is a device"),
        (odd("data/train.tsv", tarfile.SYMTYPE, "other.tsv"), "is a link, not a file"),
        (odd("data/train.tsv", tarfile.DIRTYPE), "is a folder, not a file"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_links_and_devices_in_a_tar_are_refused(
    tmp_path: Path, out: Path, member: tarfile.TarInfo, said: str
) -> None:
    text = refused(tarred(tmp_path / "a.tar.gz", member), out)
    assert said in text
    assert repr(member.name) in text


def test_a_file_written_through_a_link_of_the_archive_stays_inside(tmp_path: Path, out: Path) -> None:
    """The classic attack: a link to a folder outside, then a member below the link."""
    members = {"data/train.tsv": TRAIN, "data/dev.tsv": DEV, "link/evil": b"x"}
    refused(tarred(tmp_path / "a.tar.gz", odd("link", tarfile.SYMTYPE, str(tmp_path)), members=members), out)
    assert not (tmp_path / "evil").exists()


def test_an_unselected_link_inside_the_folder_is_ignored(tmp_path: Path, out: Path) -> None:
    extract(tarred(tmp_path / "a.tar.gz", odd("data/new", tarfile.SYMTYPE, "../data/train.tsv")), WANTED, out)
    assert sorted(path.name for path in out.iterdir()) == ["dev.tsv", "train.tsv"]


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [(0o120777, b"../../etc", "a link to a path outside the target folder"), (0o020666, b"", "is a device")],
)
def test_links_and_devices_in_a_zip_are_refused(
    tmp_path: Path, out: Path, mode: int, content: bytes, said: str
) -> None:
    archive = zipped(tmp_path / "a.zip")
    with zipfile.ZipFile(archive, "a") as file:
        info = zipfile.ZipInfo("data/odd")
        info.external_attr = mode << 16
        file.writestr(info, content)
    assert said in refused(archive, out)


def test_a_duplicate_member_is_refused(tmp_path: Path, out: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns while this is built
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            for _ in range(2):
                file.writestr("data/train.tsv", TRAIN)
    assert "occurs twice" in refused(tmp_path / "a.zip", out)


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_an_implausible_compression_ratio_is_refused(tmp_path: Path, out: Path, suffix: str) -> None:
    packed = zipped if suffix == "zip" else tarred
    archive = packed(tmp_path / f"bomb.{suffix}", members={"data/dev.tsv": DEV, "data/train.tsv": ZEROS})
    text = refused(archive, out)
    assert "more than 100 times the archive's" in text
    assert "'data/train.tsv'" in text


def test_an_unselected_bomb_in_a_tar_counts(tmp_path: Path, out: Path) -> None:
    members = {"data/train.tsv": TRAIN, "bomb": ZEROS, "data/dev.tsv": DEV}
    assert "more than 100 times" in refused(tarred(tmp_path / "a.tar.gz", members=members), out)


def test_a_bomb_after_the_end_of_a_tar_counts(tmp_path: Path, out: Path) -> None:
    plain = gzip.decompress(tarred(tmp_path / "a.tar.gz").read_bytes())
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain + ZEROS))
    assert "more than 100 times" in refused(tmp_path / "a.tar.gz", out)


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_members_and_archives_over_their_limits_are_refused(tmp_path: Path, out: Path, suffix: str) -> None:
    archive = (zipped if suffix == "zip" else tarred)(tmp_path / f"a.{suffix}")
    assert "'data/train.tsv' is larger than 1000 bytes" in refused(archive, out, Limits(member=1000))
    assert "more than 2000 bytes in total" in refused(archive, out, Limits(total=2000))


def test_a_declared_size_is_not_trusted(tmp_path: Path, out: Path) -> None:
    archive = zipped(tmp_path / "a.zip")
    raw = archive.read_bytes()
    size = struct.pack("<I", len(TRAIN))
    assert raw.count(size) == 2  # in front of the member and in the directory
    archive.write_bytes(raw.replace(size, struct.pack("<I", 10)))
    assert "corrupt" in refused(archive, out)


def test_a_truncated_archive_is_refused(tmp_path: Path, out: Path) -> None:
    for archive in (zipped(tmp_path / "a.zip"), tarred(tmp_path / "a.tar.gz")):
        archive.write_bytes(archive.read_bytes()[:-20])
        assert "corrupt or not an archive" in refused(archive, out)


def test_an_html_page_is_not_an_archive(tmp_path: Path, out: Path) -> None:
    for name in ("a.zip", "a.tar.gz"):
        (tmp_path / name).write_text("<html>please log in</html>")
        assert "corrupt or not an archive" in refused(tmp_path / name, out)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path, out: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"é": b"x", "data/train.tsv": TRAIN})
    archive.write_bytes(archive.read_bytes().replace("é".encode(), b"\xff\xff"))
    assert "corrupt or not an archive" in refused(archive, out)


def test_an_encrypted_archive_is_refused(tmp_path: Path, out: Path) -> None:
    archive = zipped(tmp_path / "a.zip")
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)
    assert "encrypted" in refused(archive, out)


def test_an_unknown_kind_of_archive_is_refused(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.rar").touch()
    assert "expected a .zip, .tar.gz or .tgz archive" in refused(tmp_path / "a.rar", out)


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_corruption_anywhere_raises_a_data_error_and_leaves_no_file(
    tmp_path: Path, out: Path, suffix: str
) -> None:
    archive = (zipped if suffix == "zip" else tarred)(tmp_path / f"a.{suffix}")
    whole = archive.read_bytes()
    plain = whole if suffix == "zip" else gzip.decompress(whole)
    chance = random.Random(3)
    num_refused = 0
    for _ in range(300):
        raw = bytearray(plain)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.choice([0, 255, chance.randrange(256)])
        archive.write_bytes(raw if suffix == "zip" else gzip.compress(bytes(raw), 1))
        try:
            extract(archive, WANTED, out)
        except DataError:
            num_refused += 1
            assert list(out.iterdir()) == []
        for path in out.iterdir():
            path.unlink()
    assert num_refused > 30


def test_members_are_read_without_being_written(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a.tar.gz")
    read = {name: b"".join(blocks) for name, blocks in read_members(archive, str.isascii)}
    assert read == {"data/train.tsv": TRAIN, "data/dev.tsv": DEV}
    assert list(tmp_path.iterdir()) == [archive]
