"""A snapshot of files of which no byte has come yet when it begins."""
from huggingface_hub import snapshot_download

from common import DATASET, WORK, same

same(snapshot_download(DATASET, repo_type="dataset", cache_dir=WORK / "cache"))
