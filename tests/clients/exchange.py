"""Reads an exported version by its three schemas, with the libraries of others.

The folder specs, then the version as JSON, XML and Protobuf. All three must be valid and say the same, and
what is not must not be.
"""

import base64
import json
import pathlib
import sys
import tempfile

import jsonschema
import xmlschema
from google.protobuf import message_factory, unknown_fields
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

CIDS = {"id", "dataset", "owner_record", "parent", "previous", "table", "card", "croissant"}


def document_class(specs):
    """The class of the message, by the .proto alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "set")
        code = protoc.main(["protoc", f"-I{specs}", f"--descriptor_set_out={out}", "manifest.proto"])
        assert code == 0, code
        described = FileDescriptorSet.FromString(out.read_bytes())
    pool = DescriptorPool()
    for file in described.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("opendag.manifest.v1.Document"))


def base32(content):
    return base64.b32encode(content).decode().lower().rstrip("=")


def as_text(name, content, kind):
    """Bytes as the texts of JSON and XML."""
    if name in CIDS or (name == "manifest" and kind in ("Derivation", "Head")):
        return "b" + base32(content)
    if name in ("owners", "key"):
        return "ed25519:" + base32(content)
    if name == "signature":
        return content.hex()
    return base64.b64encode(content).decode()


def is_list(field):
    known = getattr(field, "is_repeated", None)
    return field.label == FieldDescriptor.LABEL_REPEATED if known is None else known


def plain(message, always):
    """A message as JSON says it; numbers are there also if they are 0."""
    assert not len(unknown_fields.UnknownFieldSet(message))
    kind, said = message.DESCRIPTOR.name, {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type and not is_list(field):
            if message.HasField(field.name):
                said[field.name] = plain(value, always)
            continue

        def one(item):
            if field.message_type:
                return plain(item, always)
            return as_text(field.name, item, kind) if isinstance(item, bytes) else item

        if is_list(field):
            if len(value):
                said[field.name] = [one(item) for item in value]
        elif value or field.type == FieldDescriptor.TYPE_UINT64:
            said[field.name] = one(value)
    return said


def main(specs, json_file, xml_file, protobuf_file):
    specs = pathlib.Path(specs)
    said = json.loads(pathlib.Path(json_file).read_text())
    schema = json.loads((specs / "manifest.schema.json").read_text())
    validator_class = jsonschema.validators.validator_for(schema)
    validator_class.check_schema(schema)
    validator = validator_class(schema)
    validator.validate(said)
    for name in ("manifest", "owner_records", "format"):
        assert not validator.is_valid({key: said[key] for key in said if key != name}), name
    assert not validator.is_valid({**said, "more": 1})

    xsd = xmlschema.XMLSchema(specs / "manifest.xsd")
    text = pathlib.Path(xml_file).read_text()
    xsd.validate(text)
    for before, after in (("<files>", "<files>x"), ("<title>", "<titel/><title>"), ("bafkr4i", "bafyr4i")):
        assert before in text and not xsd.is_valid(text.replace(before, after, 1)), before
    tree = xsd.to_dict(text)
    for name in ("title", "description", "license", "bytes", "tags"):
        assert tree["manifest"][name] == said["manifest"][name], name
    same = lambda content: base64.b64decode(content)
    assert [same(blob["bytes"]) for blob in tree["blobs"]] == [same(blob["bytes"]) for blob in said["blobs"]]

    content = pathlib.Path(protobuf_file).read_bytes()
    message = document_class(specs).FromString(content)
    assert message.SerializeToString(deterministic=True) == content
    found = plain(message, True)
    assert found == said, (found, said)


main(*sys.argv[1:])
