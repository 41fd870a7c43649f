"""Writes a folder of several formats and without a card: mixed.py FOLDER."""
import datetime, json, pathlib, sys

import pyarrow, pyarrow.parquet

folder = pathlib.Path(sys.argv[1])
for split, parts in {"train": 2, "test": 1}.items():
    for part in range(parts):
        path = folder / f"events/{split}-{part}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": 1000 * part + i, "split": split} for i in range(500)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
(folder / "table.csv").write_text("name,price\na,1.5\nb,2\n")
nested = [
    {
        "day": datetime.date(2024, 1, i + 1),
        "at": datetime.datetime(2024, 1, 1, 12, i),
        "ok": i % 2 == 0,
        "grid": [[i, 1], [2]],
        "who": {"name": f"n{i}", "home": {"city": f"c{i}"}},
    }
    for i in range(30)
]
pyarrow.parquet.write_table(pyarrow.Table.from_pylist(nested), folder / "nested.parquet")
