"""A download that is killed goes on: what was complete stays, and the whole is right."""
import subprocess, time

from common import DATASET, SOURCE, WORK, files, hf, same

# Not into a folder of the user's: releases of 2025 fail there, when they are killed as they write down what they did.
command = [hf(), "download", "--repo-type", "dataset", DATASET, "--cache-dir", WORK / "cache"]


def complete():
    folders = list(WORK.glob("cache/*/snapshots/*"))
    return {name: path.stat().st_mtime_ns for folder in folders for name, path in files(folder).items()}


running = subprocess.Popen(command)
deadline = time.monotonic() + 60
while len(complete()) < 3 and running.poll() is None:
    assert time.monotonic() < deadline, "no file came"
    time.sleep(0.01)
running.kill()
running.wait()
before = complete()
assert 0 < len(before) < len(files(SOURCE)), "it was not killed in the middle"
subprocess.run(command, check=True)
same(next(WORK.glob("cache/*/snapshots/*")))
assert before.items() <= complete().items(), "files were fetched that were complete"
