"""A folder of several formats by the card that `publish --write-card` wrote: datasets, and mlcroissant for the rest."""
import os

from common import DATASET, SOURCE, WORK

os.environ["CROISSANT_CACHE"] = str(WORK / "croissant")
import json

import mlcroissant, pyarrow.parquet
from datasets import load_dataset

assert "configs:" in (SOURCE / "README.md").read_text()
loaded = load_dataset(DATASET, cache_dir=str(WORK / "cache"))
for split in ("train", "test"):
    paths = sorted(SOURCE.glob(f"events/{split}-*.jsonl"))
    assert loaded[split].to_list() == [json.loads(line) for path in paths for line in path.open()]
assert loaded.keys() == {"train", "test"}

dataset = mlcroissant.Dataset(f"{os.environ['HF_ENDPOINT']}/api/datasets/{DATASET}/croissant")
id = "nested.parquet#records"
found = list(dataset.records(id))
wanted = pyarrow.parquet.read_table(SOURCE / "nested.parquet").to_pylist()
assert len(found) == len(wanted) == 30
for row, published in zip(found, wanted):
    assert row[f"{id}/day"].date() == published["day"]
    assert row[f"{id}/at"].to_pydatetime() == published["at"]
    assert row[f"{id}/ok"] == published["ok"]
    assert [list(line) for line in row[f"{id}/grid"]] == published["grid"]
    assert row[f"{id}/who"] == {f"{id}/who/name": published["who"]["name"].encode()}
    assert row[f"{id}/who/home"] == {f"{id}/who/home/city": published["who"]["home"]["city"].encode()}
prices = [(row["table.csv#records/name"], row["table.csv#records/price"]) for row in dataset.records("table.csv#records")]
assert prices == [(b"a", 1.5), (b"b", 2.0)]
