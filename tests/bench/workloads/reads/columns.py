"""A Parquet file of twenty columns, and one column of it read by different programs."""

import random
import sys

COLUMNS = 20


def write(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    random.seed(5)
    schema = pa.schema([(f"c{index:02}", pa.int64()) for index in range(COLUMNS)])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for _ in range(0, rows, 100_000):
            count = min(rows, 100_000)
            # Five bytes of each number are random: the file has about that size.
            noise = [pa.array(memoryview(random.randbytes(8 * count)).cast("q").tolist()) for _ in range(2)]
            columns = []
            for index in range(COLUMNS):
                values = [(value >> (20 + index % 4)) & 0xFF_FFFF_FFFF for value in noise[index % 2].to_pylist()]
                columns.append(pa.array(values, pa.int64()))
            writer.write_table(pa.table(columns, schema=schema), row_group_size=count)


def size(path, column):
    """The sum of a column, and the bytes that it takes in the file."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    at = file.schema_arrow.get_field_index(column)
    groups = range(file.metadata.num_row_groups)
    taken = sum(file.metadata.row_group(group).column(at).total_compressed_size for group in groups)
    print(pc.sum(file.read([column])[column]).as_py(), taken)


def duckdb(url, column):
    import duckdb
    from duckdb_extensions import import_extension

    import_extension("httpfs")
    print(duckdb.sql(f"SELECT sum({column})::BIGINT FROM read_parquet('{url}')").fetchone()[0])


def pyarrow(url, column):
    import fsspec
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    # As fsspec reads unless told otherwise, and only what is asked for.
    with fsspec.open(url, cache_type="none") as file:
        table = pq.read_table(file, columns=[column], pre_buffer=True)
    print(pc.sum(table[column]).as_py())


def polars(url, column):
    import polars

    print(polars.scan_parquet(url).select(polars.col(column).sum()).collect().item())


READ = {"duckdb": duckdb, "pyarrow": pyarrow, "polars": polars}

what, path, argument = sys.argv[1:]
if what == "write":
    write(path, int(argument))
elif what == "size":
    size(path, argument)
else:
    READ[what](path, argument)
