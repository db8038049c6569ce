"""Vietnamese text in the encodings of the time before Unicode, and Unicode read with the wrong one."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import viparse

LEGACY_ENCODINGS = ("tcvn3", "vni", "viscii", "vps")

_UTF8_AS_CP1252 = re.compile(
    "[\u00c3-\u00c6\u00e1\u00e2](?:[\u0080-\u00bf]|[\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122])"
)


def decode_legacy(text: str, encoding: str) -> str:
    """Text typed in a legacy font, as a Latin-1 or cp1252 reader shows it, in Unicode NFC.

    Raises:
        ValueError: the encoding is not one of LEGACY_ENCODINGS.
    """
    if encoding not in LEGACY_ENCODINGS:
        raise ValueError(f"Unknown legacy encoding '{encoding}'; known are {', '.join(LEGACY_ENCODINGS)}.")
    return str(viparse.fix(text, encoding=encoding))


def decode_legacy_column(column: pa.Array | pa.ChunkedArray, encoding: str) -> pa.Array:
    encoded = pc.dictionary_encode(column)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    decoded = [
        None if text is None else decode_legacy(text, encoding) for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(decoded, pa.string()).take(encoded.indices)


def repair_mojibake(text: str) -> str | None:
    """UTF-8 that was read as cp1252 or Latin-1 ('Nguyá»…n'), read again; None where the text is not such."""
    if not _UTF8_AS_CP1252.search(text):
        return None
    try:
        read_again = b"".join(_byte(c) for c in text).decode("utf-8")
    except UnicodeError:
        return None
    # what becomes a letter or sign of another script was no Vietnamese text before
    return read_again if all(map(_is_latin, read_again)) else None


_LATIN = (("\u0000", "\u0250"), ("\u0300", "\u0370"), ("\u1e00", "\u1f00"), ("\u2000", "\u2070"))


def _is_latin(character: str) -> bool:
    """A Latin letter with or without marks, a mark, or punctuation."""
    return any(first <= character < end for first, end in _LATIN)


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")
