"""Train every variant of `params.yaml`, several at once, and keep the results when code changes."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The library that lies beside this, whichever is installed.
sys.path.insert(0, str(ROOT / "src"))
