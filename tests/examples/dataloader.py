"""Feeds a PyTorch DataLoader from the swarm: two workers, each reads its own files of the dataset.

    HF_ENDPOINT=http://127.0.0.1:8480 python dataloader.py opendag/<id or name>

Needs: pip install datasets torch
"""
import sys

from datasets import load_dataset
from torch.utils.data import DataLoader

rows = load_dataset(sys.argv[1], split="train", streaming=True)
# Each epoch mixes the order of the files, and the rows within a buffer.
rows = rows.shuffle(seed=1, buffer_size=1000)


def main():
    loader = DataLoader(rows, batch_size=64, num_workers=2)
    seen = 0
    for batch in loader:
        seen += len(next(iter(batch.values())))  # Train on the batch here.
    print(f"{seen} rows")


if __name__ == "__main__":
    main()
