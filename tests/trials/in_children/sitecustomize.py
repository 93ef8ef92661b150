"""Imported by every Python that starts with this folder on its path: a child of a recorded process records too."""

import os
import sys
from pathlib import Path

if "TRIALS_LOG" in os.environ:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from trials.recording import LOG, ROOT, Recorder

    del sys.path[0]
    Recorder(Path(os.environ[ROOT]), Path(os.environ[LOG])).begin()
