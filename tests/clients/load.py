"""datasets: loaded, by two processes, streamed, shuffled, and streamed on from a position."""
from datasets import load_dataset

from common import DATASET, WORK, rows

wanted = rows()


def by_id(some):
    return sorted(some, key=lambda row: row["id"])


def load(**options):
    return load_dataset(DATASET, split="train", cache_dir=str(WORK / "cache"), **options)


assert load().to_list() == wanted
assert by_id(load(num_proc=2, download_mode="force_redownload")) == wanted
stream = load(streaming=True)
assert list(stream) == wanted
mixed = list(stream.shuffle(seed=3, buffer_size=500))
assert mixed != wanted and by_id(mixed) == wanted

# In the middle of the second file.
first = load(streaming=True)
some = [row for _, row in zip(range(6000), first)]
position = first.state_dict()
second = load(streaming=True)
second.load_state_dict(position)
assert some + list(second) == wanted
