"""The main job driven from the command line, over the same HTTP that people and platforms use."""

import sys
from pathlib import Path

# The platform of the demo is the one that docs/examples shows, with the client that platforms get.
_ROOT = Path(__file__).resolve().parents[2]
for _folder in ("clients/python", "docs/examples/toy-platform"):
    if str(_ROOT / _folder) not in sys.path:
        sys.path.append(str(_ROOT / _folder))
