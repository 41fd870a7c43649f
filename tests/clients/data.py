"""Writes the folder that the clients read: data.py FOLDER.

Rows as JSON Lines, Parquet and CSV, shards of WebDataset, large files, an empty one, and names that need care.
"""
import csv, gzip, io, json, pathlib, random, sys, tarfile

import pyarrow, pyarrow.parquet

folder = pathlib.Path(sys.argv[1])
chance = random.Random(7)

CARD = """---
license: mit
configs:
- config_name: default
  data_files: rows/*.jsonl
---
# Rows
"""


def place(name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


place("README.md").write_text(CARD)
rows = [{"id": i, "text": "%x" % chance.getrandbits(1200)} for i in range(12_000)]
for part in range(3):
    some = rows[part * 4000 : (part + 1) * 4000]
    place(f"rows/{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    table = pyarrow.Table.from_pylist(some)
    pyarrow.parquet.write_table(table, place(f"columns/{part}.parquet"), row_group_size=500)
with place("table.csv").open("w", newline="") as file:
    writer = csv.DictWriter(file, ["id", "text"])
    writer.writeheader()
    writer.writerows(rows[:1000])
place("table.csv.gz").write_bytes(gzip.compress((folder / "table.csv").read_bytes()))
nested = [
    {"tags": ["a", "%x" % i], "who": {"name": f"n{i}", "age": i}, "parts": [{"size": i}, {"size": 2 * i}]}
    for i in range(30)
]
place("nested.jsonl").write_text("".join(json.dumps(row) + "\n" for row in nested))
for part in range(3):
    with tarfile.open(place(f"shards/{part:04}.tar"), "w") as tar:
        for key in range(part * 50, part * 50 + 50):
            for kind, data in ((".bin", chance.randbytes(2000)), (".cls", str(key % 10).encode())):
                member = tarfile.TarInfo(f"{key:06}{kind}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
for part in range(4):
    place(f"large/{part}.bin").write_bytes(chance.randbytes(4_000_001))
place("odd/a b+c%20/ü.bin").write_bytes(chance.randbytes(300_000))
place("odd/empty").write_bytes(b"")
