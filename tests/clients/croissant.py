"""mlcroissant: the description of a dataset is valid, and its records are those that were published."""
import json, os, subprocess, sys

import requests
from common import DATASET, SOURCE, WORK, files, rows

# Where it keeps what it downloads; read when it is imported.
os.environ["CROISSANT_CACHE"] = str(WORK / "croissant")
import mlcroissant

url = f"{os.environ['HF_ENDPOINT']}/api/datasets/{DATASET}/croissant"
command = [sys.executable, "-m", "mlcroissant.scripts.validate", "--jsonld", url]
validated = subprocess.run(command, capture_output=True, text=True)
assert validated.returncode == 0, validated.stderr
assert "WARNING" not in validated.stderr.upper() or "license" in validated.stderr, validated.stderr

document = requests.get(url, timeout=10).json()
assert document["conformsTo"] == "http://mlcommons.org/croissant/1.1"
assert {file["name"] for file in document["distribution"]} == files(SOURCE).keys()

dataset, wanted = mlcroissant.Dataset(url), rows()


def records(name):
    """The records of a file by the names of its fields, text as text."""
    prefix = f"{name}#records"
    found = [{key[len(prefix) + 1 :]: value for key, value in row.items()} for row in dataset.records(prefix)]
    return [{key: value.decode() if isinstance(value, bytes) else value for key, value in row.items()} for row in found]


for part in range(3):
    some = wanted[part * 4000 : (part + 1) * 4000]
    assert records(f"rows/{part}.jsonl") == some
    assert records(f"columns/{part}.parquet") == some
assert records("table.csv") == wanted[:1000]
assert records("table.csv.gz") == wanted[:1000]

# Fields in fields, and lists.
nested = [json.loads(line) for line in (SOURCE / "nested.jsonl").open()]
id = "nested.jsonl#records"
found = list(dataset.records(id))
assert len(found) == len(nested)
for row, published in zip(found, nested):
    who = published["who"]
    assert [text.decode() for text in row[f"{id}/tags"]] == published["tags"]
    assert row[f"{id}/who"] == {f"{id}/who/name": who["name"].encode(), f"{id}/who/age": who["age"]}
    assert [part[f"{id}/parts/size"] for part in row[f"{id}/parts"]] == [part["size"] for part in published["parts"]]
