"""The example with PyTorch's DataLoader and two workers, and the rows that it gives."""
import pathlib, subprocess, sys

from datasets import load_dataset
from torch.utils.data import DataLoader

from common import DATASET, rows

example = pathlib.Path(__file__).parent.parent / "examples/dataloader.py"
said = subprocess.run([sys.executable, example, DATASET], check=True, stdout=subprocess.PIPE, text=True).stdout
assert said.splitlines()[-1] == "12000 rows", said

found = {}
for batch in DataLoader(load_dataset(DATASET, split="train", streaming=True), batch_size=100, num_workers=2):
    found.update(zip(batch["id"].tolist(), batch["text"]))
assert found == {row["id"]: row["text"] for row in rows()}
