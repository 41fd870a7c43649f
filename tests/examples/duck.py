"""Queries Parquet files with DuckDB over S3; it reads only the columns and row groups that it needs.

    AWS_ENDPOINT_URL=http://127.0.0.1:8481 python duck.py opendag/<id or name>

The URL is that of `opendag daemon --s3 127.0.0.1:8481`. Needs: pip install duckdb
"""
import os
import sys

import duckdb

name = sys.argv[1]
host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
# DuckDB wants keys, but nobody looks at them.
duckdb.execute(f"CREATE SECRET (TYPE s3, KEY_ID 'any', SECRET 'any', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)")

table = duckdb.read_parquet(f"s3://{name}/**/*.parquet")
print(table.limit(3))
print(f"{table.count('*').fetchone()[0]} rows")
