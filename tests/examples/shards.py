"""Reads the tar files of a dataset as WebDataset samples, one after another.

    HF_ENDPOINT=http://127.0.0.1:8480 python shards.py opendag/<id or name>

Needs: pip install webdataset huggingface_hub, and curl
"""
import os
import sys
from urllib.parse import quote

import webdataset
from huggingface_hub import HfApi

name = sys.argv[1]
paths = HfApi().list_repo_files(name, repo_type="dataset")
base = f"{os.environ['HF_ENDPOINT']}/datasets/{name}/resolve/main"
# A part that no peer gives at this moment is asked for again: curl waits as long as the node says.
urls = [f"pipe:curl -sfL --retry 9 {base}/{quote(path)}" for path in paths if path.endswith(".tar")]

samples = webdataset.WebDataset(urls, shardshuffle=False)
seen = 0
for sample in samples:
    seen += 1  # sample["__key__"] and one field for each file of the sample.
print(f"{seen} samples")
