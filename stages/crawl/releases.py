"""The consents that people gave, as the user wrote them down in ``consent.yaml`` beside the pictures.

release-2026-07:
  subjects: [S-014]            # pseudonyms; names stay on the signed paper
  basis: model release
  scope: [train, publish]      # publish: the weights leave the house; show: the picture itself does
  granted: 2026-07-01
  expires: 2031-06-30          # the last day; without it there is none
  revoked: 2026-11-02          # from that day on it counts no more
  evidence: <SHA-256 of the signed paper>
"""

from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from stages.errors import SourceError
from stages.records import Consent, Scope

FILE = "consent.yaml"


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class _Record:
    """One entry of the file."""

    subjects: Annotated[tuple[str, ...], Field(min_length=1)]
    basis: Annotated[str, Field(min_length=1)]
    scope: Annotated[tuple[Scope, ...], Field(min_length=1)]
    granted: date
    expires: date | None = None
    revoked: date | None = None
    evidence: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""


def read(folder: Path) -> list[Consent]:
    """The records of ``consent.yaml`` in ``folder``; none when there is no such file.

    Raises:
        SourceError: when it is no YAML, or naming the first entry at fault.
    """
    file = folder / FILE
    if not file.is_file():
        return []
    try:
        found = TypeAdapter(dict[str, _Record]).validate_python(yaml.safe_load(file.read_bytes()) or {})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"{file}: is not YAML; {' '.join(str(error).split())}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise SourceError(
            f"{file}: {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}; each entry has an id, and under "
            "it subjects, basis, scope ([train, publish, show]), granted, and where they apply expires, revoked, evidence"
        ) from None
    return [_consent(id, record) for id, record in found.items()]


def _consent(id: str, record: _Record) -> Consent:
    return Consent(
        id=id,
        subjects=record.subjects,
        basis=record.basis,
        scope=record.scope,
        granted=record.granted.isoformat(),
        expires=record.expires.isoformat() if record.expires else "",
        revoked=record.revoked.isoformat() if record.revoked else "",
        evidence=record.evidence,
    )
