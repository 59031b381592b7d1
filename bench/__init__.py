"""How fast the project trains, beside the chapter's way and beside other work."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))  # the library that lies beside bench, whatever is installed
