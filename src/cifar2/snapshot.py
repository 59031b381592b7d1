"""Snapshots of a run under way, in a scratch folder, so that one that was interrupted goes on."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from cifar2 import files

INTERVAL = 30.0  # seconds between two writings, at least
MAX_AGE = 30 * 24 * 3600.0  # seconds
MAX_BYTES = 2**30  # of all snapshots together

_log = logging.getLogger(__name__)


def key(facts: dict[str, object], contents: Iterable[Path]) -> str:
    """Return a hash of all that a result depends on: facts (JSON values) and files' bytes."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in contents:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


class Snapshot:
    """What a run needs to go on, in memory and, now and then, on disk.

    content: tensors and plain containers, as they were put last, by this process or by one
        before it; None at first.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        self._written_at = time.monotonic()
        self._changed = False
        self.content = self._read()

    def put(self, content: dict[str, Any]) -> None:
        """Take the run's state, as a copy; write it if the last writing is INTERVAL ago."""
        self._changed = True  # first: a signal to stop may come between the two
        self.content = content
        if time.monotonic() - self._written_at >= INTERVAL:
            self.write()

    def write(self) -> None:
        """Write what was put, if that has not been done; a failure is a warning: the run goes on.

        The file appears whole or not at all; a checksum of its bytes ends it.
        """
        if not self._changed:
            return
        buffer = io.BytesIO()
        torch.save({"key": self._key, "content": self.content}, buffer)
        body = buffer.getvalue()
        try:
            files.write(self.path, body + hashlib.sha256(body).digest())
        except OSError as error:
            _log.warning("no snapshot could be written: %s: %s", error.filename, error.strerror)
            return
        self._changed = False
        self._written_at = time.monotonic()

    def _read(self) -> dict[str, Any] | None:
        try:
            whole = self.path.read_bytes()
        except FileNotFoundError:
            return None
        body, checksum = whole[:-32], whole[-32:]
        if hashlib.sha256(body).digest() == checksum:
            saved = torch.load(io.BytesIO(body), weights_only=True)
            if saved["key"] == self._key:
                return saved["content"]
        _log.warning("%s: is no snapshot of this run; starting afresh", self.path)
        return None


@contextlib.contextmanager
def kept(folder: Path, key: str) -> Iterator[Snapshot]:
    """Give a run its snapshot, to this process alone; write it at the end, however that comes.

    Waits while another process has it. Old snapshots in the folder are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / f"{key}.lock", wait=True):
        _prune(folder)
        snapshot = Snapshot(folder / f"{key}.pt", key)
        try:
            yield snapshot
        finally:
            snapshot.write()


@contextlib.contextmanager
def _lock(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock, which the system takes back from a process that ends, however it ends.

    Without `wait`, give False where another process holds it.
    """
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(open(path, "w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    yield False
                    return
                _log.warning("another process trains the same; waiting for it to end")
                fcntl.flock(file, fcntl.LOCK_EX)
            # `_prune` may have removed the file between its opening and its locking.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    break
        yield True


def _prune(folder: Path) -> None:
    """Remove old snapshots, and the oldest until the rest is small; none that is in use."""
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process prunes too
            if path.suffix != ".lock":
                found.append((path, path.stat()))
    total = 0
    for path, stat in sorted(found, key=lambda each: each[1].st_mtime, reverse=True):
        total += stat.st_size
        if total > MAX_BYTES or time.time() - stat.st_mtime > MAX_AGE:
            lock = folder / f"{path.name.strip('.').partition('.')[0]}.lock"
            with _lock(lock, wait=False) as free:
                if free:
                    path.unlink(missing_ok=True)
                    lock.unlink()
