"""Queries Parquet files with DuckDB, which reads only the columns and row groups that it needs.

    HF_ENDPOINT=http://127.0.0.1:8480 python duck.py opendag/<id or name>

Needs: pip install duckdb huggingface_hub
"""
import os
import sys
from urllib.parse import quote

import duckdb
from huggingface_hub import HfApi

name = sys.argv[1]
paths = HfApi().list_repo_files(name, repo_type="dataset")
# DuckDB's own hf:// knows one host only; a file's plain URL is as good.
base = f"{os.environ['HF_ENDPOINT']}/datasets/{name}/resolve/main"
urls = [f"{base}/{quote(path)}" for path in paths if path.endswith(".parquet")]

rows = duckdb.execute("SELECT count(*) FROM read_parquet(?)", [urls]).fetchone()[0]
duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet({urls})").show()
print(f"{rows} rows")
