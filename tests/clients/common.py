"""What the scripts begin with: their arguments, and comparisons with the published folder."""
import json, pathlib, shutil, sys

# The dataset's name, the published folder, and an empty folder to work in.
DATASET, SOURCE, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


def files(folder):
    """All files below a folder by their paths, without what clients keep for themselves."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path for name, path in named.items() if not name.startswith(".cache/")}


def same(folder):
    """Fails unless a folder is the published one, byte by byte."""
    wanted, found = files(SOURCE), files(pathlib.Path(folder))
    assert wanted.keys() == found.keys(), wanted.keys() ^ found.keys()
    for name, path in wanted.items():
        assert path.read_bytes() == found[name].read_bytes(), f"{name} has other bytes"


def rows():
    """The rows as they were published."""
    return [json.loads(line) for path in sorted(SOURCE.glob("rows/*.jsonl")) for line in path.open()]


def tool(name):
    """The path of a program, or None with a word that it was not tested."""
    path = shutil.which(name) or shutil.which(name, path=str(pathlib.Path(sys.executable).parent))
    if path is None:
        print(f"SKIPPED {name}: it is not installed", flush=True)
    return path


def hf():
    """The Hub's command as it was called in its time."""
    scripts = pathlib.Path(sys.executable).parent
    return str(next(scripts / name for name in ("hf", "huggingface-cli") if (scripts / name).exists()))
