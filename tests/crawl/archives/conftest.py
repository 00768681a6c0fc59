"""Archives made in memory, and what comes out of them."""

import io
import tarfile
import zipfile

import pytest

from stages.crawl.archives import Limits
from stages.crawl.archives.files import opened

ROOMY = {"total": 10**9, "ratio": 100, "entries": 1000}


@pytest.fixture
def zipped():
    """Pack names and contents into a ZIP."""

    def pack(files, method=zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as made:
            for name, content in files.items():
                made.writestr(name, content)
        return buffer.getvalue()

    return pack


@pytest.fixture
def tarred():
    """Pack names and contents into a tar; a content may be a TarInfo's changes instead."""

    def pack(files, packer="", form=tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=f"w:{packer}", format=form) as made:
            for name, content in files.items():
                header = tarfile.TarInfo(name)
                for key, value in content.items() if isinstance(content, dict) else ():
                    setattr(header, key, value)
                body = b"" if isinstance(content, dict) else content
                header.size = len(body)
                made.addfile(header, io.BytesIO(body))
        return buffer.getvalue()

    return pack


@pytest.fixture
def taken(tmp_path):
    """Write bytes as an archive; give what can be read of it and the faults."""

    def take(content, limit=10**6, **others):
        place = tmp_path / "archive"
        place.write_bytes(content)
        with opened(place, Limits(**(ROOMY | others))) as files:
            return {name: files.read(name, limit=limit) for name in sorted(files.names)}, files.faults

    return take
