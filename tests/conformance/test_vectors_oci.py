"""Manifests, indexes, configs, layouts and chain ids against the image-spec's own tests."""

from __future__ import annotations

import pytest
from support.vectors import vector

from pydockmagic.oci.config import decode_config
from pydockmagic.oci.digest import chain_id, chain_ids, sha256_digest
from pydockmagic.oci.errors import InvalidDocument
from pydockmagic.oci.manifest import decode_descriptor, decode_index, decode_layout, decode_manifest

pytestmark = pytest.mark.conformance

VECTORS = vector("oci-image-spec.json")
TABLES = {name.partition(":")[2]: cases for name, cases in VECTORS["tables"].items()}
READERS = {
    "config": lambda data: decode_config(data, strict=True),
    "descriptor": decode_descriptor,
    "imageIndex": decode_index,
    "imageLayout": decode_layout,
    "manifest": lambda data: decode_manifest(data, strict=True),
}
DOCUMENTS = [
    pytest.param(kind, case, id=f"{table}-{number}")
    for table, cases in TABLES.items()
    for number, case in enumerate(cases)
    for kind in READERS
    if kind in case
]


def test_every_case_is_checked():
    assert len(DOCUMENTS) + len(TABLES["TestChainID"]) == VECTORS["count"] == 74


@pytest.mark.parametrize(("kind", "case"), DOCUMENTS)
def test_documents_are_accepted_or_refused_as_the_schema_does(kind, case):
    data = case[kind].encode()
    if case.get("fail"):
        with pytest.raises(InvalidDocument):
            READERS[kind](data)
        return
    READERS[kind](data)
    if "digest" in case:
        assert sha256_digest(data) == case["digest"]


@pytest.mark.parametrize("case", TABLES["TestChainID"], ids=lambda case: case["Name"])
def test_chain_ids_are_those_of_the_specification(case):
    digests = case.get("Digests") or []
    ab = sha256_digest(b"sha256:a sha256:b")
    named = {"chainDigestAB": ab, "chainDigestABC": sha256_digest(f"{ab} sha256:c".encode())}
    expected = [named[item["$go"]] if isinstance(item, dict) else item for item in case.get("Expected") or []]
    assert list(chain_ids(digests)) == expected
    assert chain_id(digests) == (expected[-1] if expected else "")
