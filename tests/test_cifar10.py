"""Fetching CIFAR-10: every way in which an address can fail, against a real HTTP server."""

import hashlib
import io
import random
import socket
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar2 import UserError, cifar10
from tests.server import Server, serve

FILES = {name: random.Random(name).randbytes(20_000) for name in cifar10.MD5}


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    return info


def archive(*extra: tuple[tarfile.TarInfo, bytes], **changes: bytes) -> bytes:
    """Pack the seven files as upstream does, with some changed or members added."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(member(cifar10.FOLDER, kind=tarfile.DIRTYPE))
        tar.addfile(member(f"{cifar10.FOLDER}/readme.html", b"hi"), io.BytesIO(b"hi"))
        for name, content in (FILES | changes).items():
            tar.addfile(member(f"{cifar10.FOLDER}/{name}", content), io.BytesIO(content))
        for info, content in extra:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put small files in the place of the real ones, and short times in that of long ones."""
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(cifar10, "MD5", md5)
    monkeypatch.setattr(cifar10, "BACKOFF", 0.01)
    monkeypatch.setattr(cifar10, "WINDOW", 0.3)
    monkeypatch.setattr(cifar10, "READ_TIMEOUT", 1.0)
    monkeypatch.setattr(cifar10, "MAX_SIZE", 2_000_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(archive()) as running:
        yield running


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Path]:
    """Give the folder to fetch into; check that it is whole or absent, and nothing is beside it."""
    path = tmp_path / "data" / "raw"
    yield path
    if path.exists():
        assert whole(path)
    assert [child.name for child in path.parent.glob("*")] in ([], ["raw"])


def whole(raw: Path) -> bool:
    found = {str(p.relative_to(raw)): p.read_bytes() for p in raw.rglob("*") if p.is_file()}
    return found == {f"{cifar10.FOLDER}/{name}": content for name, content in FILES.items()}


def nowhere() -> str:
    """Return an address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/nothing"


def test_the_first_good_mirror_is_taken(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = [nowhere(), *map(server.url, ("missing", "html", "circle", "good", "busy"))]
    monkeypatch.setattr(cifar10, "MIRRORS", mirrors)
    cifar10.fetch(raw)
    assert whole(raw)
    assert server.requests["good"] == 1
    assert server.requests["busy"] == 0


@pytest.mark.parametrize("behaviour", ["good", "busy_twice", "resumes", "restarts"])
def test_what_succeeds(behaviour: str, server: Server, raw: Path) -> None:
    cifar10.fetch(raw, server.url(behaviour))
    assert whole(raw)


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, raw: Path) -> None:
    cifar10.fetch(raw, server.url("resumes"))
    (wanted,) = server.ranges
    assert 0 < int(wanted.removeprefix("bytes=").rstrip("-")) < len(server.content)


@pytest.mark.parametrize(
    ("behaviour", "reason", "requests"),
    [
        ("missing", "HTTP status 404 Not Found", 1),
        ("busy", "HTTP status 503 Service Unavailable", 3),
        ("html", "it sent no archive, or a damaged one (Not a gzipped file (b'<!'))", 1),
        ("circle", "Exceeded 30 redirects.", 31),
        ("resets_half_way", "the transfer broke off (", 3),
        ("truncated", "it sent no archive, or a damaged one (Compressed file ended", 1),
        ("promises_more", "the transfer broke off (", 3),
        ("promises_less", "it sent no archive, or a damaged one (Compressed file ended", 1),
        ("wrong_bytes", "", 1),
        ("drips", "0.0 kB/s is too slow", 1),
        ("hangs", "the transfer broke off (ReadTimeout)", 3),
        ("endless", "it sends over 2,000,000 bytes, more than CIFAR-10 has", 1),
    ],
)
def test_what_fails(behaviour: str, reason: str, requests: int, server: Server, raw: Path) -> None:
    address = server.url(behaviour)
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        cifar10.fetch(raw, address)
    assert time.monotonic() - start < 5  # with the short times of `small`
    assert str(caught.value).startswith(f"CIFAR10_URL: {address}: {reason}")
    assert server.requests[behaviour] == requests
    assert not raw.exists()


ESCAPE = (member("../evil", b"x"), b"x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive(test_batch=b"x"), "test_batch has the MD5 9dd4e461268c8034f5c8564e155c67a6, not"),
        (archive(ESCAPE), "there is a member '../evil' in the archive"),
        (archive((member("/etc/evil", b"x"), b"x")), "there is a member '/etc/evil'"),
        (archive((member(f"{cifar10.FOLDER}/more", b"x"), b"x")), "there is a member"),
        (archive((member(f"{cifar10.FOLDER}/test_batch", b"x"), b"x")), "there is a member"),
        (archive((member("link", kind=tarfile.SYMTYPE), b"")), "there is a member 'link'"),
        (archive((member("device", kind=tarfile.CHRTYPE), b"")), "there is a member 'device'"),
        (
            archive((member(f"{cifar10.FOLDER}/readme.html", bytes(3_000_000)), bytes(3_000_000))),
            "it unpacks to over 2,000,000 bytes, more than CIFAR-10 has",
        ),
    ],
    ids=["wrong bytes", "..", "/", "more", "twice", "link", "device", "bomb"],
)
def test_a_wrong_archive(content: bytes, reason: str, raw: Path) -> None:
    with serve(content) as server, pytest.raises(UserError) as caught:
        cifar10.fetch(raw, server.url("good"))
    assert str(caught.value).startswith(f"CIFAR10_URL: {server.url('good')}: {reason}")
    assert not raw.exists()


def test_a_member_that_is_missing(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delitem(FILES, "data_batch_3")
        content = archive()
    with serve(content) as server, pytest.raises(UserError, match="the archive lacks data_batch_3"):
        cifar10.fetch(raw, server.url("good"))


def test_no_network_and_wrong_bytes_are_told_apart(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in may take the place of CIFAR-10 in the first case alone."""
    monkeypatch.setattr(cifar10, "MIRRORS", [nowhere(), nowhere()])
    with pytest.raises(cifar10.NoNetwork, match="none of the 2 addresses can be reached; set CIF"):
        cifar10.fetch(raw)
    monkeypatch.setattr(cifar10, "MIRRORS", [nowhere(), server.url("html")])
    with pytest.raises(UserError, match="no address gave the right bytes") as caught:
        cifar10.fetch(raw)
    assert not isinstance(caught.value, cifar10.NoNetwork)


def test_each_failure_names_the_address_and_the_reason(
    server: Server,
    raw: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mirrors = [nowhere(), server.url("missing"), "http://no-such-host.invalid/x"]
    monkeypatch.setattr(cifar10, "MIRRORS", mirrors)
    with pytest.raises(UserError):
        cifar10.fetch(raw)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == [
        f"{mirrors[0]}: no connection",
        f"{mirrors[1]}: HTTP status 404 Not Found",
        f"{mirrors[2]}: no connection: the host's name is not known",
    ]


def test_a_slow_mirror_is_better_than_none(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go first, then it is given its time."""
    speeds = []

    def transfer(url: str, path: Path, floor: int) -> None:
        speeds.append((url[-4:], floor))
        if floor > 50_000 and url.endswith("slow"):
            raise cifar10.Slow("50 kB/s is too slow")
        if url.endswith("dead"):
            raise cifar10.Failure("dead")
        path.write_bytes(server.content)

    monkeypatch.setattr(cifar10, "_transfer", transfer)
    monkeypatch.setattr(cifar10, "MIRRORS", ["http://slow", "http://dead"])
    cifar10.fetch(raw)
    assert speeds == [("slow", cifar10.SLOW), ("dead", cifar10.SLOW), ("slow", cifar10.STUCK)]


@pytest.mark.parametrize("form", ["archive", "file URL", "extracted", "its parent"])
def test_a_local_copy(form: str, raw: Path, tmp_path: Path) -> None:
    copy = tmp_path / "a copy"
    copy.mkdir()
    (copy / "cifar.tar.gz").write_bytes(archive())
    (copy / cifar10.FOLDER).mkdir()
    for name, content in FILES.items():
        (copy / cifar10.FOLDER / name).write_bytes(content)
    address = {
        "archive": str(copy / "cifar.tar.gz"),
        "file URL": (copy / "cifar.tar.gz").as_uri(),
        "extracted": str(copy / cifar10.FOLDER),
        "its parent": str(copy),
    }[form]
    cifar10.fetch(raw, address)
    assert whole(raw)
    assert (copy / "cifar.tar.gz").exists()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nothing/here", "there is no file /"),
        ("file:///nothing/here", "there is no file /nothing/here"),
        ("ftp://host/file", "there is no file /"),
        ("http://", "Invalid URL 'http://'"),
        ("http://[/", "Invalid"),
    ],
)
def test_an_address_that_is_none(address: str, reason: str, raw: Path) -> None:
    with pytest.raises(UserError) as caught:
        cifar10.fetch(raw, address)
    assert str(caught.value).startswith(f"CIFAR10_URL: {address}: {reason}")


def test_what_is_in_the_store_is_not_downloaded_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10, "MIRRORS", [nowhere()])
    for name, content in FILES.items():
        md5 = cifar10.MD5[name]
        (tmp_path / "store" / md5[:2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / md5[:2] / md5[2:]).write_bytes(content)
    cifar10.fetch(raw, store=tmp_path / "store")
    assert whole(raw)
    (tmp_path / "store" / md5[:2] / md5[2:]).write_bytes(b"damaged")
    with pytest.raises(cifar10.NoNetwork):
        cifar10.fetch(raw, store=tmp_path / "store")


def test_a_failure_leaves_what_was_there(server: Server, raw: Path) -> None:
    cifar10.fetch(raw, server.url("good"))
    with pytest.raises(UserError):
        cifar10.fetch(raw, server.url("html"))
    assert whole(raw)
