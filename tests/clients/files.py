"""Files by path and by URL: HfFileSystem, pandas, DuckDB, curl, aria2."""
import os, subprocess, urllib.parse

import duckdb, pandas
from duckdb_extensions import import_extension
from huggingface_hub import HfFileSystem

from common import DATASET, SOURCE, WORK, files, rows, tool

wanted, published = rows(), files(SOURCE)
system, root = HfFileSystem(), f"datasets/{DATASET}"

assert {path[len(root) + 1 :] for path in system.find(root)} == published.keys()
assert {path.rsplit("/", 1)[-1] for path in system.ls(f"{root}/rows", detail=False)} == {"0.jsonl", "1.jsonl", "2.jsonl"}
assert len(system.glob(f"{root}/**/*.parquet")) == 3
for name, path in published.items():
    assert system.info(f"{root}/{name}")["size"] == path.stat().st_size
    assert system.read_bytes(f"{root}/{name}") == path.read_bytes(), name
large = published["large/0.bin"].read_bytes()
with system.open(f"{root}/large/0.bin", block_size=65_536) as file:
    for start in (3_999_990, 1_000_000, 0):
        file.seek(start)
        assert file.read(100) == large[start : start + 100]

for part in range(3):
    some = wanted[part * 4000 : (part + 1) * 4000]
    assert pandas.read_parquet(f"hf://{root}/columns/{part}.parquet").to_dict("records") == some
    assert pandas.read_json(f"hf://{root}/rows/{part}.jsonl", lines=True, dtype=False).to_dict("records") == some
assert list(pandas.read_parquet(f"hf://{root}/columns/0.parquet", columns=["id"])["id"]) == list(range(4000))
assert pandas.read_csv(f"hf://{root}/table.csv").to_dict("records") == wanted[:1000]

import_extension("httpfs")
urls = [f"{os.environ['HF_ENDPOINT']}/{root}/resolve/main/columns/{part}.parquet" for part in range(3)]
found = duckdb.execute("SELECT id, text FROM read_parquet(?) ORDER BY id", [urls]).fetchall()
assert found == [(row["id"], row["text"]) for row in wanted]

for name in ("large/1.bin", "odd/a b+c%20/ü.bin", "odd/empty"):
    url = f"{os.environ['HF_ENDPOINT']}/{root}/resolve/main/{urllib.parse.quote(name)}"
    if curl := tool("curl"):
        subprocess.run([curl, "-sSfL", "--retry", "5", "-o", WORK / "curl", url], check=True)
        assert (WORK / "curl").read_bytes() == published[name].read_bytes()
    if aria2 := tool("aria2c"):
        info = system.info(f"{root}/{name}")
        sum_ = f"--checksum=sha-256={info['lfs']['sha256']}" if "sha256" in (info.get("lfs") or {}) else "--quiet=true"
        command = [aria2, "-q", "-x4", "-s4", "-k1M", "--allow-overwrite=true", "-d", WORK, "-o", "aria2", sum_, url]
        subprocess.run(command, check=True)
        assert (WORK / "aria2").read_bytes() == published[name].read_bytes()
