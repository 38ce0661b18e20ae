"""The library: faces and labels in, crops, shards, a network, metrics and a phone's file out.

Pure functions and small classes. Nothing here knows a command line, DVC or a fixed path;
the commands live in `stages/`, which imports this package and is never imported by it.
"""

import os
from typing import Final

SILENT: Final = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime sends events, under an identifier of the machine
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DVC_NO_ANALYTICS": "1",
}
"""What keeps packages from telling their makers of their use; read when each is loaded."""

os.environ.setdefault("PILLOW_BLOCK_SIZE", "64m")
"""In blocks of more than 32 MB what a large image took goes back to the system at once; else each
thread keeps some hundred MB for its next one. Read when Pillow is loaded."""

for _name, _value in SILENT.items():
    os.environ.setdefault(_name, _value)
