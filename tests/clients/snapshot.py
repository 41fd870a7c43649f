"""huggingface_hub and its command: a snapshot, a download, and what `hf cache verify` says of it."""
import subprocess

from huggingface_hub import snapshot_download

from common import DATASET, WORK, files, hf, same

cached = snapshot_download(DATASET, repo_type="dataset", cache_dir=WORK / "cache")
same(cached)

command = [hf(), "download", "--repo-type", "dataset", DATASET]
subprocess.run([*command, "--local-dir", WORK / "local"], check=True)
same(WORK / "local")

# Releases of 2024 know no `hf`, and those of early 2025 no `verify`.
verify = [hf(), "cache", "verify", "--repo-type", "dataset", "--cache-dir", WORK / "cache", DATASET]
if "verify" in subprocess.run([hf(), "cache", "--help"], capture_output=True, text=True).stdout:
    subprocess.run(verify, check=True)
    blob = files(WORK / "cache")[next(name for name in files(WORK / "cache") if name.endswith("0.parquet"))].resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    assert subprocess.run(verify, capture_output=True).returncode != 0, "it verifies nothing"
else:
    print("SKIPPED hf cache verify: this release has none", flush=True)
