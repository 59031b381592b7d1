"""The machine that figures were taken on."""

import contextlib
import platform
from pathlib import Path


def cpu() -> str:
    """Return the CPU's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
