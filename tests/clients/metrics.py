"""Reads the figures and the document of a daemon's API as other programs do.

Arguments: the URL of the API, and the file with the token for figures.
"""
import json, pathlib, sys, urllib.request

from openapi_spec_validator import validate
from prometheus_client.openmetrics import parser

API, TOKEN = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().strip()


def get(path, headers={}):
    """The body of an answer."""
    with urllib.request.urlopen(urllib.request.Request(API + path, headers=headers)) as answer:
        return answer.read().decode()


text = get("/metrics", {"Authorization": f"Bearer {TOKEN}"})
families = list(parser.text_string_to_metric_families(text))
assert len(families) > 40, families
for family in families:
    assert family.documentation and family.samples, family
    assert family.unit or family.type == "info", family
values = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
assert values["process_cpu_seconds_total", ()] > 0, values
assert values["opendag_transfer_sent_bytes_total", (("kind", "blobs"),)] > 0, values

# Negative control: the parser does refuse what is no OpenMetrics.
try:
    list(parser.text_string_to_metric_families(text.replace("# EOF\n", "")))
except ValueError:
    pass
else:
    raise AssertionError("a page without its end was taken")

document = json.loads(get("/v1/openapi.json"))
validate(document)
assert document["openapi"].startswith("3.1."), document["openapi"]
try:
    validate({**document, "paths": {"/x": {"get": {"responses": 7}}}})
except Exception:
    pass
else:
    raise AssertionError("a document that is none was taken")
