"""Streams a dataset, and goes on where it was when it is run again after an interruption.

    HF_ENDPOINT=http://127.0.0.1:8480 python stream.py opendag/<id or name> [position.json]

Needs: pip install datasets
"""
import json
import pathlib
import sys

from datasets import load_dataset

name = sys.argv[1]
place = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "position.json")

rows = load_dataset(name, split="train", streaming=True)
seen = 0
if place.exists():
    saved = json.loads(place.read_text())
    seen = saved["seen"]
    rows.load_state_dict(saved["position"])

for row in rows:
    seen += 1  # Train on the row here.
    if seen % 1000 == 0:
        part = place.with_suffix(".part")
        part.write_text(json.dumps({"seen": seen, "position": rows.state_dict()}))
        part.replace(place)  # A kill leaves the old position or the new one.

place.unlink(missing_ok=True)
print(f"{seen} rows")
