"""Fetching CIFAR-10 from a real HTTP server that fails in every way, and from local copies."""

import gzip
import hashlib
import io
import logging
import random
import socket
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar2.data import cifar10, download
from cifar2.errors import UserError
from tests.conftest import contents
from tests.server import Server, serve

FOLDER = cifar10.FOLDER
FILES = {name: random.Random(name).randbytes(20_000) for name in cifar10.MD5}
MD5 = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    return info


def archive(
    *extra: tuple[tarfile.TarInfo, bytes], without: str | None = None, **changes: bytes
) -> bytes:
    """Pack the seven files as upstream does, with some changed, one left out, or members added."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(member(FOLDER, kind=tarfile.DIRTYPE))
        tar.addfile(member(f"{FOLDER}/readme.html", b"hi"), io.BytesIO(b"hi"))
        for name, content in (FILES | changes).items():
            if name != without:
                tar.addfile(member(f"{FOLDER}/{name}", content), io.BytesIO(content))
        for info, content in extra:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def undecodable() -> bytes:
    """Pack an archive whose compressed data becomes invalid within a file."""
    tar = gzip.decompress(archive())
    compressor = zlib.compressobj(wbits=31)  # with gzip's header
    start = compressor.compress(tar[: len(tar) // 2]) + compressor.flush(zlib.Z_FULL_FLUSH)
    return start + b"\xff" * 1000  # a block of a type that does not exist


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect small files instead of the real ones, and don't wait between two tries."""
    monkeypatch.setattr(download, "MD5", MD5)
    monkeypatch.setattr(download, "MAX_SIZE", 2_000_000)
    monkeypatch.setattr(download, "BACKOFF", 0.001)
    monkeypatch.setenv("no_proxy", "*")  # a proxy can't reach the server on this machine


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
        assert is_whole(path)
    assert [child.name for child in path.parent.glob("*")] in ([], ["raw"])


def is_whole(raw: Path) -> bool:
    return contents(raw) == {f"{FOLDER}/{name}": content for name, content in FILES.items()}


def complaint(raw: Path, address: str) -> str:
    """Return why an address does not have CIFAR-10, after checking that nothing is left of it."""
    with pytest.raises(UserError) as caught:
        download.fetch(raw, address)
    assert not raw.exists()
    message = str(caught.value)
    assert message.startswith(f"{address}: ") and "\n" not in message
    return message.removeprefix(f"{address}: ")


def nowhere() -> str:
    """Return an address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/nothing"


# One address.


def test_archive_is_downloaded_once_and_unpacked(server: Server, raw: Path) -> None:
    download.fetch(raw, server.url("good"))
    assert is_whole(raw)
    assert server.requests == {"good": 1}


def test_archive_that_is_declared_as_a_compressed_transfer_is_unpacked(
    server: Server, raw: Path
) -> None:
    download.fetch(raw, server.url("says_gzip"))
    assert is_whole(raw)


def test_server_is_asked_to_send_the_archive_as_it_is(server: Server, raw: Path) -> None:
    """Some servers decompress a .gz otherwise."""
    download.fetch(raw, server.url("good"))
    assert server.encodings == ["identity"]


def test_busy_server_is_asked_again(server: Server, raw: Path) -> None:
    download.fetch(raw, server.url("busy_twice"))
    assert is_whole(raw)
    assert server.requests["busy_twice"] == 3


def test_broken_transfer_is_continued_where_it_stopped(server: Server, raw: Path) -> None:
    download.fetch(raw, server.url("breaks_off_then_continues"))
    assert is_whole(raw)
    (wanted,) = server.ranges
    assert 0 < int(wanted.removeprefix("bytes=").rstrip("-")) < len(server.content)


def test_broken_transfer_begins_again_where_the_server_ignores_the_range(
    server: Server, raw: Path
) -> None:
    download.fetch(raw, server.url("breaks_off_then_restarts"))
    assert is_whole(raw)
    assert len(server.ranges) == 1


def test_broken_transfer_begins_again_where_the_server_refuses_the_range(
    server: Server, raw: Path
) -> None:
    download.fetch(raw, server.url("breaks_off_then_refuses"))
    assert is_whole(raw)
    assert server.requests["breaks_off_then_refuses"] == 3
    assert len(server.ranges) == 1


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("busy", "HTTP status 503 Service Unavailable"),
        ("too_many_requests", "HTTP status 429 Too Many Requests"),
        ("always_breaks_off", "the transfer broke off ("),
        ("promises_more", "the transfer broke off ("),
    ],
)
def test_failure_that_may_pass_is_an_error_after_three_tries(
    behaviour: str, reason: str, server: Server, raw: Path
) -> None:
    assert complaint(raw, server.url(behaviour)).startswith(reason)
    assert server.requests == {behaviour: 3}


def test_server_that_does_not_answer_is_an_error_after_three_tries(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "READ_TIMEOUT", 0.2)
    assert complaint(raw, server.url("hangs")) == "the transfer broke off (ReadTimeout)"
    assert server.requests == {"hangs": 3}


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("not_found", "HTTP status 404 Not Found"),
        ("login_page", "not an archive, or a damaged one (Not a gzipped file (b'<!'))"),
        ("truncated", "not an archive, or a damaged one (Compressed file ended"),
        ("promises_less", "not an archive, or a damaged one (Compressed file ended"),
        ("flipped_bit", ""),  # which file is found damaged, or how, depends on zlib
        ("sends_too_much", "it sends over 2,000,000 bytes, more than CIFAR-10 has"),
    ],
)
def test_lasting_failure_is_an_error_after_one_try(
    behaviour: str, reason: str, server: Server, raw: Path
) -> None:
    assert complaint(raw, server.url(behaviour)).startswith(reason)
    assert server.requests == {behaviour: 1}


def test_redirect_loop_is_an_error(server: Server, raw: Path) -> None:
    assert complaint(raw, server.url("redirect_loop")) == "Exceeded 30 redirects."
    assert server.requests["redirect_loop"] == 31


def test_trickling_transfer_is_an_error_after_one_try(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WINDOW", 0.3)
    assert complaint(raw, server.url("trickles")) == "0.0 kB/s is too slow"
    assert server.requests == {"trickles": 1}


def test_server_without_tls_at_an_https_address_is_an_error(server: Server, raw: Path) -> None:
    address = server.url("good").replace("http:", "https:")
    assert complaint(raw, address) == "the TLS handshake failed, or its certificate is not valid"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nothing/here", "no such file: /"),
        ("file:///nothing/here", "no such file: /nothing/here"),
        ("ftp://host/file", "no such file: /"),
        ("http://", "Invalid URL 'http://'"),
        ("http://[/", "Invalid"),
    ],
)
def test_address_of_nothing_is_an_error(address: str, reason: str, raw: Path) -> None:
    assert complaint(raw, address).startswith(reason)


def test_failure_leaves_the_former_download(server: Server, raw: Path) -> None:
    download.fetch(raw, server.url("good"))
    with pytest.raises(UserError):
        download.fetch(raw, server.url("login_page"))
    assert is_whole(raw)


def test_progress_is_logged_where_there_is_no_terminal(
    server: Server,
    raw: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(download, "WINDOW", 1e-9)
    caplog.set_level(logging.INFO)
    download.fetch(raw, server.url("good"))
    assert "0.1 MB, " in caplog.text
    assert capsys.readouterr().err == ""


# The archive's content.


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive(test_batch=b"x"), "test_batch has the MD5 9dd4e461268c8034f5c8564e155c67a6, not"),
        (archive(without="data_batch_3"), "the archive lacks data_batch_3"),
        (archive((member("../evil", b"x"), b"x")), "unexpected member '../evil' in the archive"),
        (archive((member("/etc/evil", b"x"), b"x")), "unexpected member '/etc/evil' in the"),
        (archive((member(f"{FOLDER}/more", b"x"), b"x")), f"unexpected member '{FOLDER}/more'"),
        (archive((member(f"{FOLDER}/test_batch", b"x"), b"x")), f"unexpected member '{FOLDER}/tes"),
        (archive((member("link", kind=tarfile.SYMTYPE), b"")), "unexpected member 'link' in the"),
        (archive((member("device", kind=tarfile.CHRTYPE), b"")), "unexpected member 'device' in"),
        (
            archive(
                (member(f"{FOLDER}/test_batch", kind=tarfile.SYMTYPE), b""), without="test_batch"
            ),
            f"unexpected member '{FOLDER}/test_batch' in the archive",
        ),
        (undecodable(), "not an archive, or a damaged one (Error -3 while decompressing data"),
        (
            archive((member(f"{FOLDER}/readme.html", bytes(3_000_000)), bytes(3_000_000))),
            "it unpacks to over 2,000,000 bytes, more than CIFAR-10 has",
        ),
    ],
    ids=[
        "wrong bytes",
        "missing",
        "..",
        "/",
        "more",
        "twice",
        "link",
        "device",
        "link instead",
        "undecodable",
        "bomb",
    ],
)
def test_archive_with_other_content_is_an_error(content: bytes, reason: str, raw: Path) -> None:
    with serve(content) as server:
        assert complaint(raw, server.url("good")).startswith(reason)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start=st.sampled_from([b"", b"\x1f\x8b\x08\x00"]), rest=st.binary(max_size=500))
def test_archive_of_any_bytes_is_a_user_error(
    start: bytes, rest: bytes, raw: Path, tmp_path: Path
) -> None:
    (tmp_path / "archive").write_bytes(start + rest)
    complaint(raw, str(tmp_path / "archive"))


# The mirrors.


def test_first_good_mirror_is_taken(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = ("not_found", "login_page", "redirect_loop", "good", "busy")
    monkeypatch.setattr(download, "MIRRORS", [nowhere(), *map(server.url, others)])
    download.fetch(raw)
    assert is_whole(raw)
    assert server.requests["good"] == 1
    assert server.requests["busy"] == 0


def test_part_from_one_mirror_is_not_continued_from_another(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = [server.url("always_breaks_off"), server.url("good")]
    monkeypatch.setattr(download, "MIRRORS", mirrors)
    download.fetch(raw)
    assert is_whole(raw)
    assert len(server.ranges) == 2  # at the second and third try of the first mirror


def test_no_network_where_no_mirror_can_be_reached(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MIRRORS", [nowhere(), nowhere()])
    with pytest.raises(download.NoNetwork, match=r"none of the 2 mirrors can be reached$"):
        download.fetch(raw)


def test_wrong_bytes_from_a_mirror_are_another_error_than_no_network(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in may replace CIFAR-10 only where there is no network."""
    monkeypatch.setattr(download, "MIRRORS", [nowhere(), server.url("login_page")])
    with pytest.raises(UserError, match="no mirror sent the right bytes") as caught:
        download.fetch(raw)
    assert not isinstance(caught.value, download.NoNetwork)


def test_each_mirror_that_fails_is_logged_with_the_reason(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mirrors = [nowhere(), server.url("not_found"), "http://no-such-host.invalid/x"]
    monkeypatch.setattr(download, "MIRRORS", mirrors)
    with pytest.raises(UserError):
        download.fetch(raw)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == [
        f"{mirrors[0]}: no connection",
        f"{mirrors[1]}: HTTP status 404 Not Found",
        f"{mirrors[2]}: no connection: unknown host",
    ]


def test_slow_mirror_is_tried_again_after_the_others_have_failed(
    server: Server, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def transfer(url: str, path: Path, floor: int) -> None:
        tried.append((url, floor))
        if floor > 50_000 and url != "http://dead":
            raise download.Slow("50 kB/s is too slow")
        if url == "http://dead":
            raise download.Failure("dead")
        path.write_bytes(server.content)

    monkeypatch.setattr(download, "_transfer", transfer)
    monkeypatch.setattr(download, "MIRRORS", ["http://slow", "http://slow too", "http://dead"])
    download.fetch(raw)
    assert is_whole(raw)
    assert tried == [
        ("http://slow", download.SLOW),
        ("http://slow too", download.SLOW),
        ("http://dead", download.SLOW),
        ("http://slow", download.STUCK),
    ]


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


@pytest.mark.parametrize("form", ["archive", "file URL", "home", "extracted", "its parent"])
def test_local_copy_is_taken_and_left_as_it_is(
    form: str, raw: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(copy))
    before = contents(copy)
    address = {
        "archive": str(copy / "cifar.tar.gz"),
        "file URL": (copy / "cifar.tar.gz").as_uri(),
        "home": "~/cifar.tar.gz",
        "extracted": str(copy / FOLDER),
        "its parent": str(copy),
    }[form]
    download.fetch(raw, address)
    assert is_whole(raw)
    assert contents(copy) == before


def test_extracted_copy_that_lacks_a_file_is_an_error(raw: Path, copy: Path) -> None:
    (copy / FOLDER / "test_batch").unlink()
    assert complaint(raw, str(copy)) == f"no test_batch in {copy / FOLDER}"


def test_extracted_copy_with_a_damaged_file_is_an_error(raw: Path, copy: Path) -> None:
    (copy / FOLDER / "test_batch").write_bytes(b"x")
    assert complaint(raw, str(copy)).startswith("test_batch has the MD5 9dd4e461268c8034f5c8564e1")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a folder that has the files under their MD5s, as DVC's cache does."""
    path = tmp_path / "store"
    for name, content in FILES.items():
        (path / MD5[name][:2]).mkdir(parents=True, exist_ok=True)
        (path / MD5[name][:2] / MD5[name][2:]).write_bytes(content)
    return path


def test_files_in_the_store_are_not_downloaded_again(
    raw: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MIRRORS", [nowhere()])
    download.fetch(raw, store=store)
    assert is_whole(raw)


@pytest.mark.parametrize("damaged", [True, False], ids=["damaged", "incomplete"])
def test_store_without_all_files_undamaged_is_not_used(
    damaged: bool, raw: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MIRRORS", [nowhere()])
    last = store / MD5["batches.meta"][:2] / MD5["batches.meta"][2:]
    last.unlink()
    if damaged:
        last.write_bytes(b"damaged")
    with pytest.raises(download.NoNetwork):
        download.fetch(raw, store=store)


def test_address_comes_before_the_store(raw: Path, store: Path) -> None:
    with pytest.raises(UserError, match=r"^/nothing/here: no such file"):
        download.fetch(raw, "/nothing/here", store)
