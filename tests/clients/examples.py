"""The examples of `tests/examples` as a reader would run them: each sees all rows or samples."""
import json, pathlib, subprocess, sys

from duckdb_extensions import import_extension

from common import DATASET, WORK, tool

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def run(name, wanted, *args):
    command = [sys.executable, EXAMPLES / name, DATASET, *args]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=WORK).stdout
    assert said.splitlines()[-1] == wanted, f"{name}: {said}"


# Interrupted in the middle of the second file, and run again.
position = WORK / "position.json"
stop = f"""
import json, pathlib, runpy, sys
sys.argv = ["stream.py", {DATASET!r}, {str(position)!r}]
replace = pathlib.Path.replace
def stopping(part, target):
    if target.name == "position.json" and json.loads(part.read_text())["seen"] > 6000:
        sys.exit("interrupted")
    return replace(part, target)
pathlib.Path.replace = stopping
runpy.run_path({str(EXAMPLES / "stream.py")!r})
"""
assert subprocess.run([sys.executable, "-c", stop], stderr=subprocess.DEVNULL).returncode == 1
assert json.loads(position.read_text())["seen"] == 6000
run("stream.py", "12000 rows", position)
assert not position.exists()
import_extension("httpfs")
run("duck.py", "12000 rows")
run("lazy.py", "12000 rows")
if tool("curl"):
    run("shards.py", "150 samples")
