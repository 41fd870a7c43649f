"""Scans Parquet files with Polars, which reads only the columns and row groups that it needs.

    HF_ENDPOINT=http://127.0.0.1:8480 python lazy.py opendag/<id or name>

Needs: pip install polars huggingface_hub
"""
import os
import sys
from urllib.parse import quote

import polars
from huggingface_hub import HfApi

name = sys.argv[1]
paths = HfApi().list_repo_files(name, repo_type="dataset")
# Polars' own hf:// knows one host only; a file's plain URL is as good.
base = f"{os.environ['HF_ENDPOINT']}/datasets/{name}/resolve/main"
urls = [f"{base}/{quote(path)}" for path in paths if path.endswith(".parquet")]

table = polars.scan_parquet(urls)
print(table.head(3).collect())
print(f"{table.select(polars.len()).collect().item()} rows")
