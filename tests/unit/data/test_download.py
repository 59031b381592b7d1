"""Fetching CIFAR-10 from a real HTTP server that fails in every way, and from local copies."""

import gzip
import hashlib
import io
import random
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cifar2.data import cifar10, download
from cifar2.errors import UserError
from tests.conftest import contents
from tests.server import Server, serve

FOLDER = cifar10.FOLDER
FILES = {name: random.Random(name).randbytes(20_000) for name in cifar10.MD5}
MD5 = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}


def archive(
    last: str = f"{FOLDER}/readme.html", content: bytes = b"hi", without: str = "", **info: Any
) -> bytes:
    """Pack the seven files as upstream does, with one more member, or without one of the files."""
    members = {f"{FOLDER}/{name}": FILES[name] for name in FILES if name != without}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, each, changes in (
            (FOLDER, b"", {"type": tarfile.DIRTYPE}),
            *((path, each, {}) for path, each in members.items()),
            (last, content, info),
        ):
            member = tarfile.TarInfo(path)
            for key, value in {"size": len(each), **changes}.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(each))
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect small files instead of the real ones."""
    monkeypatch.setattr(download, "MD5", MD5)
    monkeypatch.setattr(download, "MAX_SIZE", 2_000_000)
    monkeypatch.setenv("no_proxy", "*")  # a proxy can't reach the server on this machine


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run a server, whose clock is that of `download`."""
    with serve(archive()) as running:
        monkeypatch.setattr(download, "time", running)
        yield running


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Path]:
    """Give the folder to fetch into; check that nothing is left beside it."""
    path = tmp_path / "data" / "raw"
    yield path
    assert [child.name for child in path.parent.glob("*")] in ([], ["raw"])


def is_whole(raw: Path) -> bool:
    return contents(raw) == {f"{FOLDER}/{name}": content for name, content in FILES.items()}


def complaint(raw: Path, address: str) -> str:
    """Return why an address does not have CIFAR-10, after checking that nothing is left of it."""
    with pytest.raises(UserError) as caught:
        download.fetch(raw, address)
    assert not raw.exists() and not isinstance(caught.value, download.NoNetwork)
    message = str(caught.value)
    assert message.startswith(f"{address}: ") and "\n" not in message
    return message.removeprefix(f"{address}: ")


def nowhere() -> str:
    """Return an address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/nothing"


# One address.


def test_archive_is_downloaded_once_and_as_it_is(server: Server, raw: Path) -> None:
    """Some servers decompress a .gz unless they are asked not to."""
    download.fetch(raw, server.url("good"))
    assert is_whole(raw)
    (headers,) = server.requests["good"]
    assert headers["Accept-Encoding"] == "identity" and "Range" not in headers
    with pytest.raises(UserError):
        download.fetch(raw, server.url("login_page"))
    assert is_whole(raw)  # a failure leaves the former download


@pytest.mark.parametrize(
    ("then", "ranged"),
    [
        ("continues", [False, True, True]),  # after it was busy
        ("restarts", [False, True]),
    ],
)
def test_broken_transfer_is_continued_if_the_server_can(
    then: str, ranged: list[bool], server: Server, raw: Path
) -> None:
    download.fetch(raw, server.url(f"breaks_off_then_{then}"))
    assert is_whole(raw)
    ranges = [headers["Range"] for headers in server.requests[f"breaks_off_then_{then}"]]
    assert [wanted is not None for wanted in ranges] == ranged
    assert 0 < int(ranges[1].removeprefix("bytes=").rstrip("-")) < len(server.content)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("not_found", "404 Client Error: Not Found for url: "),
        ("hangs", "HTTPConnectionPool(host='127.0.0.1'"),
        ("breaks_off", "the transfer broke off after 0.1 MB"),
        ("endless", "it sends over 2,000,000 bytes"),
        ("login_page", "not an archive, or a damaged one (Not a gzipped file (b'<!'))"),
        ("file:///nothing/here", "no such file: /nothing/here"),
        ("ftp://host/file", "no such file: /"),
    ],
)
def test_address_that_fails_is_an_error(
    address: str, reason: str, server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address == "hangs":
        monkeypatch.setattr(download, "LIMIT", 0.5)
    if address.isidentifier():
        address = server.url(address)
    assert complaint(raw, address).startswith(reason)
    for behaviour, requests in server.requests.items():
        assert (len(requests) > 1) == (behaviour == "breaks_off")


# The archive's content.


TEST_BATCH = f"{FOLDER}/test_batch"
SPARSE = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9" * 15}  # few bytes, and many zeros


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive(TEST_BATCH, b"x", without="test_batch"), "test_batch has the MD5 9dd"),
        (archive(without="data_batch_3"), "the archive lacks data_batch_3"),
        (archive("../evil"), "unexpected member '../evil' in the archive"),
        (archive(TEST_BATCH), f"unexpected member '{TEST_BATCH}'"),  # for the second time
        (archive(TEST_BATCH, b"", "test_batch", type=tarfile.SYMTYPE), "unexpected member"),
        (archive(TEST_BATCH, without="test_batch", pax_headers=SPARSE), "unexpected member"),
        (archive(content=bytes(3_000_000)), "it unpacks to over 2,000,000 bytes, more than CIFAR"),
        (archive()[:-1000], "not an archive, or a damaged one (Compressed file ended"),
        (gzip.compress(archive()), "not an archive, or a damaged one ("),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_archive_with_other_content_is_an_error(
    content: bytes, reason: str, raw: Path, tmp_path: Path
) -> None:
    (tmp_path / "archive").write_bytes(content)
    assert complaint(raw, str(tmp_path / "archive")).startswith(reason)


# The mirrors.


def test_first_good_mirror_is_taken_and_what_the_others_lack_is_logged(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reasons = {
        nowhere(): "HTTPConnection(host='127.0.0.1', port=",
        server.url("not_found"): "404 Client Error: Not Found",
        server.url("login_page"): "not an archive",
        server.url("breaks_off"): "the transfer broke off after 0.1 MB",
    }
    mirrors = [*reasons, server.url("good"), server.url("truncated")]
    monkeypatch.setattr(download, "MIRRORS", mirrors)
    download.fetch(raw)
    assert is_whole(raw)
    for mirror, reason in reasons.items():
        assert f"{mirror}: {reason}" in caplog.text
    assert "truncated" not in server.requests
    (headers,) = server.requests["good"]
    assert "Range" not in headers  # it does not continue what another mirror began


def test_slow_mirrors_are_tried_again_with_more_patience_after_the_others(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = ["trickles", "slow", "not_found"]
    monkeypatch.setattr(download, "MIRRORS", [server.url(mirror) for mirror in mirrors])
    monkeypatch.setattr(download, "ENOUGH", (1_000_000, 1_000, 1))
    download.fetch(raw)
    assert is_whole(raw)
    assert [len(server.requests[mirror]) for mirror in mirrors] == [2, 2, 1]


@pytest.mark.parametrize("behaviour", ["", "login_page", "breaks_off_and_vanishes"])
def test_no_network_means_that_no_mirror_can_be_reached(
    behaviour: str, server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in may replace CIFAR-10 only where there is no network."""
    other = server.url(behaviour) if behaviour else nowhere()
    monkeypatch.setattr(download, "MIRRORS", [nowhere(), other])
    with pytest.raises(UserError) as caught:
        download.fetch(raw)
    assert isinstance(caught.value, download.NoNetwork) == (not behaviour)


# Local copies.


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a folder with a copy of CIFAR-10 in every form that is accepted."""
    path = tmp_path / "a copy"
    (path / FOLDER).mkdir(parents=True)
    (path / "cifar.tar.gz").write_bytes(archive())
    for name, content in FILES.items():
        (path / FOLDER / name).write_bytes(content)
    return path


@pytest.mark.parametrize("form", ["cifar.tar.gz", "file URL", FOLDER, ""])
def test_local_copy_is_taken_and_left_as_it_is(
    form: str, raw: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MIRRORS", [])
    before = contents(copy)
    address = (copy / "cifar.tar.gz").as_uri() if form == "file URL" else str(copy / form)
    download.fetch(raw, address)
    assert is_whole(raw) and contents(copy) == before


@pytest.mark.parametrize("damaged", [True, False], ids=["damaged", "incomplete"])
def test_copy_without_all_files_undamaged_is_not_used(damaged: bool, raw: Path, copy: Path) -> None:
    extracted = copy / FOLDER / "batches.meta"
    extracted.write_bytes(b"x") if damaged else extracted.unlink()
    reason = "batches.meta has the MD5 9dd" if damaged else f"no such file: {extracted}"
    assert complaint(raw, str(copy)).startswith(reason)
