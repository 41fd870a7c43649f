"""A download that is killed goes on: what was complete stays, and the whole is right."""
import subprocess, time

from common import DATASET, SOURCE, WORK, files, hf, same

target = WORK / "local"
command = [hf(), "download", "--repo-type", "dataset", DATASET, "--local-dir", target, "--max-workers", "1"]


def complete():
    return {name: path.stat().st_mtime_ns for name, path in files(target).items()}


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
same(target)
assert before.items() <= complete().items(), "files were fetched that were complete"
