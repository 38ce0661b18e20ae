"""Our tar files against the standard library's, byte by byte."""

import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards.tar import TarWriter, header

NAMES = st.text("abcXYZ019-_.", min_size=1, max_size=99)


@given(name=NAMES, size=st.integers(0, 8**11 - 1))
def test_a_header_is_the_standard_librarys(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    assert header(name, size) == info.tobuf(tarfile.USTAR_FORMAT)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=8))
def test_a_file_is_the_standard_librarys(tmp_path_factory, members):
    path = tmp_path_factory.mktemp("tar") / "ours.tar"
    with TarWriter(path) as tar:
        offsets = [tar.add(name, data) for name, data in members]
    theirs = io.BytesIO()
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.USTAR_FORMAT) as reference:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            reference.addfile(info, io.BytesIO(data))
    ours = path.read_bytes()
    assert ours == theirs.getvalue()
    assert tar.size == len(ours)
    assert tar.sha256 == hashlib.sha256(ours).hexdigest()
    for offset, (_, data) in zip(offsets, members, strict=True):
        assert ours[offset : offset + len(data)] == data


def test_a_name_too_long_is_refused():
    with pytest.raises(ValueError, match="longer than a tar header holds"):
        header("x" * 100, 1)
