"""Clients of S3: boto3, s3fs and pandas, PyArrow, Polars with a glob, DuckDB with a glob."""
import os

import boto3, duckdb, pandas, polars, pyarrow.dataset, pyarrow.fs, s3fs
from botocore.config import Config
from duckdb_extensions import import_extension

from common import DATASET, SOURCE, WORK, files, rows

wanted, published = rows(), files(SOURCE)
url = os.environ["AWS_ENDPOINT_URL"]
host = url.removeprefix("http://")
# The bucket and the dataset's id; keys go on with the path.
bucket, dataset = DATASET.split("/")

client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{dataset}/", PaginationConfig={"PageSize": 3})
listed = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
assert listed == {f"{dataset}/{name}": path.stat().st_size for name, path in published.items()}, listed
for name, path in published.items():
    assert client.get_object(Bucket=bucket, Key=f"{dataset}/{name}")["Body"].read() == path.read_bytes(), name
client.download_file(bucket, f"{dataset}/large/0.bin", str(WORK / "large"))
assert (WORK / "large").read_bytes() == published["large/0.bin"].read_bytes()
try:
    client.put_object(Bucket=bucket, Key=f"{dataset}/new", Body=b"x")
except client.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "AccessDenied"
else:
    raise AssertionError("it took an object")

system = s3fs.S3FileSystem(endpoint_url=url, config_kwargs={"s3": {"addressing_style": "path"}})
assert {name.removeprefix(f"{DATASET}/") for name in system.find(DATASET)} == published.keys()
assert len(system.glob(f"{DATASET}/*/*.parquet")) == 3
assert system.cat(f"{DATASET}/table.csv") == published["table.csv"].read_bytes()
table = pandas.read_parquet(f"s3://{DATASET}/columns/1.parquet", storage_options={"endpoint_url": url})
assert table.to_dict("records") == wanted[4000:8000]

arrow = pyarrow.fs.S3FileSystem(endpoint_override=host, scheme="http", region="us-east-1")
table = pyarrow.dataset.dataset(f"{DATASET}/columns/", filesystem=arrow).to_table()
assert table.to_pylist() == wanted

options = {"aws_endpoint_url": url, "aws_allow_http": "true", "aws_virtual_hosted_style_request": "false"}
table = polars.scan_parquet(f"s3://{DATASET}/columns/*.parquet", storage_options=options).collect()
assert table.to_dicts() == wanted

import_extension("httpfs")
duck = duckdb.connect()
duck.execute(f"CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'x', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)")
found = duck.execute(f"SELECT id, text FROM read_parquet('s3://{DATASET}/columns/*.parquet') ORDER BY id").fetchall()
assert found == [(row["id"], row["text"]) for row in wanted]
