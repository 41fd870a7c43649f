#!/usr/bin/env python3
"""Writes seed corpora for the fuzz targets from the vectors in `specs/vectors`.

They go to `corpus/<target>/`, where cargo-fuzz looks for them; each file is named by the hash of its
bytes. Targets of structured inputs need none.
"""

import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent.parent / "specs" / "vectors"
FRAME_PREFIX_BYTES = 4


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def u64(number):
    return number.to_bytes(8, "little")


def seeds():
    """Pairs of a target and a seed."""
    records = vectors("records")
    for record in records["records"] + records["refused"]:
        signed = bytes.fromhex(record["signed_hex"])
        yield "record", signed
        yield "gossip", b"\0" + signed
        yield "cbor", signed
        if "payload_hex" in record:
            yield "record", bytes.fromhex(record["payload_hex"])

    paths = vectors("paths")
    for text in paths["accepted"] + [refused["path"] for refused in paths["refused"]]:
        yield "path", text.encode()

    links = vectors("links")
    for text in [accepted["text"] for accepted in links["accepted"]] + links["refused"]:
        yield "link", text.encode()
    for link in links["accepted"]:
        yield "link", "\n".join([link["name"] or "", *link["peers"]]).encode()

    for table in vectors("file-table")["tables"]:
        yield "table_index", u64(table["files"]) + u64(table["bytes"]) + bytes.fromhex(table["index_hex"])
        for page in table["pages"]:
            if "hex" in page:
                yield "table_page", bytes.fromhex(page["hex"])
                yield "cbor", bytes.fromhex(page["hex"])

    wire = vectors("wire")
    stream = b""
    for message in wire["accepted"]:
        frame = bytes.fromhex(message["hex"])
        stream += frame
        yield "frames", bytes([3, 1, 7, 64, 200, 2, 5, 31]) + frame
        yield "messages", frame[FRAME_PREFIX_BYTES:]
        yield "cbor", frame[FRAME_PREFIX_BYTES:]
    yield "frames", bytes([3, 1, 7, 64, 200, 2, 5, 31]) + stream
    for message in wire["refused"]:
        yield "messages", bytes.fromhex(message["hex"])

    for value in ["1818", "3903e7", "fb3ff8000000000000", "f5", "6161", "820102", "82626162626364",
                  "a2616100616201", "a2616180616281a16178f6", "8301616180", "81818101"]:
        yield "cbor", bytes.fromhex(value)

    # Pages of empty files: one that ends after its last, and one that should have ended before.
    ends = vectors("file-table")["boundaries"]["ends"]
    nothing = bytes.fromhex(vectors("ids")["ids"][0]["blake3"])
    for names in [["00001", ends[0]], ["00001", ends[0], "99999"]]:
        entries = b"".join(
            b"\xa3\x64path\x65" + name.encode() + b"\x64size\x00\x66blake3\x58\x20" + nothing for name in names
        )
        yield "table_page", bytes([0x80 + len(names)]) + entries

    # Two chunks, of 64 bytes and 1 byte, with the hash of nothing; and the map of an empty file.
    chunks = b"".join(length.to_bytes(3, "little") + nothing[:8] for length in [64, 1])
    for size, head, chunks in [(0, b"\x40", b""), (65, b"\x56", chunks)]:
        yield "chunk_map", chunks
        yield "chunk_map", u64(size) + b"\xa3\x64type\x69chunk-map\x66chunks" + head + chunks + b"\x67version\x02"
    for map in vectors("file-table")["chunk_maps"]:
        if "hex" in map:
            yield "chunk_map", u64(map["size"]) + bytes.fromhex(map["hex"])


def main():
    for target, seed in seeds():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(seed).hexdigest()[:40]).write_bytes(seed)


if __name__ == "__main__":
    main()
