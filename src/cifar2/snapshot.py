"""Snapshots of trainings, in a scratch folder: one that was interrupted continues from there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from cifar2 import PLUMBING, files, params

INTERVAL = 30.0  # seconds between two writings, at least
MAX_AGE = 30 * 24 * 3600.0  # seconds
MAX_BYTES = 2**30  # of all snapshots together
# Variables by which the libraries beneath PyTorch take other kernels, or fewer bits, begin so.
KERNELS = ("CUBLAS_", "DNNL_", "MKL_", "NVIDIA_TF32_", "ONEDNN_", "TORCH_ALLOW_TF32_")

_log = logging.getLogger(__name__)


def key(settings: params.Params, device: torch.device, inputs: Iterable[Path]) -> str:
    """Return a hash of all that the result of a training depends on: the settings that it uses, the
    library's modules but for the plumbing, PyTorch's version, the chip, the kernels for it and the
    variables that choose them, and the content of `inputs`: data, stage script, given weights.
    The number of epochs stands behind it, so that those of the same run are found."""
    apart = {"train": {"device", "epochs"}}
    used = params.of_training(settings).model_dump(mode="json", exclude=apart)
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    machine = [str(device), chip, torch.__version__, torch.backends.cpu.get_cpu_capability()]
    kernels = [each for each in sorted(os.environ.items()) if each[0].startswith(KERNELS)]
    digest = hashlib.sha256(json.dumps([used, machine, kernels], sort_keys=True).encode())
    names = sorted(sys.modules.keys() - PLUMBING)
    modules = [sys.modules[name].__file__ for name in names if name.startswith("cifar2.")]
    for path in [*inputs, *modules]:
        assert path is not None  # a package without a file would be a namespace package
        digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return f"{digest.hexdigest()[:32]}-{settings.train.epochs}"


class Snapshot:
    """What a training needs to continue, in memory and, from time to time, on disk.

    `content` was last put, by this process or by an earlier one; None if there is nothing yet.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self._key = path, key
        self._written_at = time.monotonic()
        self.content = self._read()

    def put(self, content: dict[str, Any]) -> None:
        """Take tensors and plain containers; write them if the last writing is INTERVAL ago."""
        self.content = content
        if time.monotonic() - self._written_at >= INTERVAL:
            self.write()

    def write(self) -> None:
        """Write what was put, and a checksum. A failure is a warning, and the run goes on."""
        if self.content is None:
            return
        buffer = io.BytesIO()
        torch.save({"key": self._key, "content": self.content}, buffer)
        body = buffer.getvalue()
        try:
            files.write(self.path, body + hashlib.sha256(body).digest())
        except OSError as error:
            _log.warning("can't write a snapshot: %s: %s", error.filename, error.strerror)
        self._written_at = time.monotonic()

    def shorter(self) -> Snapshot | None:
        """Return the snapshot of the same run with fewer epochs, the longest, if there is any."""
        run, _, wanted = self._key.rpartition("-")
        found = {int(p.stem.rpartition("-")[2]): p for p in self.path.parent.glob(f"{run}-*.pt")}
        path = found.get(max((epochs for epochs in found if epochs < int(wanted)), default=0))
        return Snapshot(path, path.stem) if path else None

    def _read(self) -> dict[str, Any] | None:
        try:
            whole = self.path.read_bytes()
        except FileNotFoundError:
            return None
        body, checksum = whole[:-32], whole[-32:]
        if hashlib.sha256(body).digest() == checksum:  # PyTorch checks none
            saved = torch.load(io.BytesIO(body), weights_only=True)
            if saved["key"] == self._key:
                return saved["content"]
        _log.warning("%s: not a snapshot of this run; starting from the beginning", self.path)
        return None


@contextlib.contextmanager
def kept(folder: Path, key: str) -> Iterator[Snapshot]:
    """Yield the snapshot of a run, to this process alone; write it at the end, whatever happens.

    Waits while another process has it, unless the file system has no locks. Removes old snapshots.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The system releases the lock when the process ends, however it ends. The empty file stays:
    # another process may have opened it to wait for it.
    lock = FileLock(folder / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.warning("another process trains the same run; waiting for it to end")
        lock.acquire()
    except OSError as error:
        _log.warning("%s: %s; don't train the same run twice at once", folder, error.strerror)
    snapshot = Snapshot(folder / f"{key}.pt", key)
    try:
        yield snapshot
    finally:
        snapshot.write()
        _prune(folder, snapshot.path)
        lock.release()


def _prune(folder: Path, own: Path) -> None:
    """Remove old snapshots, and the oldest while all together are too big, but not this one.

    Another process that is under way has its own in memory, and writes it again.
    """
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process prunes too
            if path.suffix != ".lock":
                found.append((path, path.stat()))
    total = 0
    for path, stat in sorted(found, key=lambda each: each[1].st_mtime, reverse=True):
        total += stat.st_size
        is_old = time.time() - stat.st_mtime > MAX_AGE
        if path != own and (is_old or total > MAX_BYTES):
            with contextlib.suppress(OSError):
                path.unlink()
