"""rclone over S3: lists, copies, and compares byte by byte."""
import os, subprocess

from common import DATASET, SOURCE, WORK, files, same, tool

if rclone := tool("rclone"):
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": os.environ["AWS_ENDPOINT_URL"], "ENV_AUTH": "true"}
    environment = os.environ | {f"RCLONE_CONFIG_NODE_{name}": value for name, value in remote.items()}

    def run(*args, **options):
        return subprocess.run([rclone, *args], env=environment, text=True, stdout=subprocess.PIPE, **options)

    bucket, there = DATASET.split("/")[0], f"node:{DATASET}"
    assert bucket in run("lsd", "node:", check=True).stdout.split()
    listed = dict(line.split(maxsplit=1)[::-1] for line in run("ls", there, check=True).stdout.splitlines())
    assert listed == {name: str(path.stat().st_size) for name, path in files(SOURCE).items()}, listed
    run("copy", there, WORK / "copy", check=True)
    same(WORK / "copy")
    run("check", "--download", SOURCE, there, check=True)
    table = WORK / "copy/table.csv"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    assert run("check", "--download", WORK / "copy", there).returncode != 0, "it compares nothing"
    assert run("copyto", "--retries", "1", table, f"{there}/table.csv").returncode != 0, "it took a file"
