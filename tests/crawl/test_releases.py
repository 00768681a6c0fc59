"""``consent.yaml`` as people write it, and what is said when it is wrong."""

import hashlib

import pytest

from stages.crawl import releases
from stages.errors import SourceError
from stages.records import Consent

DIGEST = hashlib.sha256(b"the signed paper").hexdigest()
WHOLE = f"""
release-2026-07:
  subjects: [S-014, S-015]
  basis: model release
  scope: [train, publish]
  granted: 2026-07-01
  expires: 2031-06-30
  revoked: 2026-11-02
  evidence: {DIGEST}
staff:
  subjects: [S-001]
  basis: employment contract
  scope: [train]
  granted: "2026-01-01"
"""


@pytest.fixture
def read(tmp_path):
    """The records of a file of the given text."""

    def read(text):
        (tmp_path / "consent.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return releases.read(tmp_path)

    return read


def test_every_record_is_read_with_dates_as_text(read):
    full, short = read(WHOLE)
    assert full == Consent(
        id="release-2026-07",
        subjects=("S-014", "S-015"),
        basis="model release",
        scope=("train", "publish"),
        granted="2026-07-01",
        expires="2031-06-30",
        revoked="2026-11-02",
        evidence=DIGEST,
    )
    assert (short.id, short.granted, short.expires, short.revoked, short.evidence) == (
        "staff",
        "2026-01-01",
        "",
        "",
        "",
    )


def test_without_a_file_or_in_an_empty_one_there_are_no_records(tmp_path, read):
    assert releases.read(tmp_path) == []
    assert read("") == read("# nothing yet\n") == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (WHOLE.replace("[train]", "[train, sell]"), r"staff.scope.1: Input should be 'train', 'publish' or 'show'"),
        (WHOLE.replace("[train]", "[]"), "staff.scope"),
        (WHOLE.replace("2031-06-30", "soon"), "release-2026-07.expires"),
        (WHOLE.replace("  basis: employment contract\n", ""), "staff.basis: Field required"),
        (WHOLE.replace("[S-001]", "S-001"), "staff.subjects"),
        (WHOLE.replace(DIGEST, "abc"), "release-2026-07.evidence"),
        (WHOLE + "  name: Ann Lee\n", "staff.name"),
        ("- a\n- b\n", "the file: "),
        ("text", "the file: "),
        ("a: [", "is not YAML"),
        (b"\xff\xfe\xfa", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(read, wrong, message):
    with pytest.raises(SourceError, match=rf"consent.yaml: .*{message}") as error:
        read(wrong)
    assert "YAML" in str(error.value) or "each entry has an id" in str(error.value)
