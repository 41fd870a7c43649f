"""Two versions of a table as Parquet: ROWS SEED column|rows OLD NEW."""

import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq

rows, seed, change, old, new = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]
random.seed(seed)
more = rows // 20


def texts(count):
    return [" ".join(f"w{random.randrange(50000)}" for _ in range(24)) for _ in range(count)]


table = pa.table(
    {
        "id": pa.array(range(rows)),
        "text": pa.array(texts(rows)),
        "score": pa.array([random.random() for _ in range(rows)]),
    }
)
if change == "column":
    after = table.append_column("language", pa.array([f"l{random.randrange(40)}" for _ in range(rows)]))
else:
    after = pa.concat_tables(
        [
            table,
            pa.table(
                {
                    "id": pa.array(range(rows, rows + more)),
                    "text": pa.array(texts(more)),
                    "score": pa.array([random.random() for _ in range(more)]),
                }
            ),
        ]
    )
for version, path in ((table, old), (after, new)):
    pq.write_table(version, path, row_group_size=100_000)
