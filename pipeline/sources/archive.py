"""Zip files of pictures, read in place and within bounds."""

import zipfile
from pathlib import Path
from typing import Final

from pipeline.errors import PipelineError, one_line
from pipeline.reading import BoundedFile

_READ: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods of packing that unpack no more than is asked for; in Python the others unpack all."""

_METHODS: Final = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
"""The others that zip files know."""


def open_zip(path: Path, most: int) -> zipfile.ZipFile:
    """A zip file whose list of members has up to `most` bytes. Raises PipelineError."""
    try:
        return zipfile.ZipFile(BoundedFile(path, most))
    except PipelineError:
        raise
    except Exception as error:  # the library reports damage in a dozen classes
        raise PipelineError(
            f"{path} is not a readable zip file ({one_line(error)}); get it again."
        ) from error


def read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, most: int, advice: str
) -> bytes:
    """The bytes of a picture in the zip file `path`, up to `most`.

    Raises PipelineError where they cannot be had; `advice` says what to do once it is unpacked.
    """
    where = f"{path}: {member.filename}"
    if member.file_size > most:
        raise PipelineError(
            f"{where} claims {member.file_size:,} bytes, and a picture has up to {most:,}; get"
            " another archive."
        )
    if member.flag_bits & 1 or member.compress_type not in _READ:
        method = _METHODS.get(member.compress_type, member.compress_type)
        reason = "is encrypted" if member.flag_bits & 1 else f"is packed by the method {method}"
        raise PipelineError(
            f"{where} {reason}, which is not read; unpack it with `7z x {path.name}` and {advice}."
        )
    try:
        with archive.open(member) as file:
            return file.read(most)
    except Exception as error:  # the library reports damage in a dozen classes
        raise PipelineError(
            f"{where} cannot be read ({one_line(error)}); the archive is damaged, get it again."
        ) from error
