"""Ray reads Parquet through HfFileSystem, in workers of its own."""
import ray
from huggingface_hub import HfFileSystem

from common import DATASET, rows

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
table = ray.data.read_parquet(f"hf://datasets/{DATASET}/columns/", filesystem=HfFileSystem())
assert sorted(table.take_all(), key=lambda row: row["id"]) == rows()
ray.shutdown()
