"""Bytes of any encoding as a stream of UTF-8, and the faults of a whole text file."""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from charset_normalizer import from_bytes

from matching.standardise.encodings import LEGACY_ENCODINGS, repair_mojibake
from mdm.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 1 << 20
MAX_LINE = 1_000_000
SAMPLE = 1 << 16


def byte_encoding(path: Path, encoding: str) -> str:
    """The codec of the bytes. Text typed in a legacy font was saved as UTF-8 or as one byte a letter."""
    if encoding not in LEGACY_ENCODINGS:
        return encoding
    with path.open("rb") as file:
        return "utf-8" if _is_utf8(file.read(SAMPLE)) else "iso8859-1"


class Utf8Reader(io.RawIOBase):
    """Reads a text file as UTF-8 without byte-order mark, a block at a time."""

    def __init__(self, path: Path, encoding: str) -> None:
        super().__init__()
        self._blocks = utf8_blocks(path, encoding)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def open_utf8(path: Path, encoding: str) -> BinaryIO:
    return io.BufferedReader(Utf8Reader(path, encoding), BLOCK)


def utf8_blocks(path: Path, encoding: str) -> Iterator[bytes]:
    """Raises InputError at the first byte that is not of the encoding, or in a line longer than 1 MB."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)(errors="strict")
    whole_lines = encoding == "cp1258"
    held = ""
    offset = 0
    line = 1
    with path.open("rb") as file:
        while True:
            raw = file.read(BLOCK)
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                raise _undecodable(path, encoding, error, offset, line) from error
            line += text.count("\n")
            offset += len(raw)
            if whole_lines:
                # cp1258 stores tone marks apart; they are put back once a line is complete.
                held += text
                cut = held.rfind("\n") + 1 if raw else len(held)
                text, held = unicodedata.normalize("NFC", held[:cut]), held[cut:]
                if len(held) > MAX_LINE:
                    raise _line_too_long(path, line)
            if text:
                yield text.encode()
            if not raw:
                return


def check_text_file(path: Path, encoding: str, *, lines: bool) -> tuple[bytes, bool]:
    """Read a text file once to the end and raise InputError for what makes it unreadable as a whole.

    Returns its last lines (up to 1 MB of UTF-8) and whether it holds a double quote. `lines=False` leaves out the
    limit of 1 MB a line.
    """
    _check_sample(path, encoding)
    tail = b""
    run = 0
    line = 1
    quoted = False
    filled = False
    for block in utf8_blocks(path, encoding):
        if b"\0" in block:
            raise _looks_binary(path, line + block[: block.index(b"\0")].count(b"\n"))
        if lines:
            run = _longest_run(block, run, path, line)
        line += block.count(b"\n")
        quoted = quoted or b'"' in block
        filled = filled or bool(block.strip())
        tail = (tail + block)[-MAX_LINE:]
    if not filled:
        raise InputError("is empty", where=path.name, hint="Ask the sender for the file again.")
    return tail, quoted


def _longest_run(block: bytes, run: int, path: Path, line: int) -> int:
    """The length of the unfinished last line, `run` being what the line had before this block."""
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    if len(ends) == 0:
        run += len(block)
        if run > MAX_LINE:
            raise _line_too_long(path, line)
        return run
    lengths = np.diff(ends, prepend=-1 - run)
    if lengths.max() > MAX_LINE:
        raise _line_too_long(path, line + int(lengths.argmax()))
    return int(len(block) - 1 - ends[-1])


def _check_sample(path: Path, encoding: str) -> None:
    with path.open("rb") as file:
        sample = file.read(SAMPLE)
    if encoding.startswith(("utf-16", "utf_16", "utf-32", "utf_32")):
        return
    marks = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
    for mark, name in marks:
        if sample.startswith(mark):
            raise _wrong_encoding(path, encoding, name)
    if sample.count(b"\0") > len(sample) // 5:
        raise _wrong_encoding(
            path, encoding, "utf-16-le" if sample[1::2].count(b"\0") > len(sample) // 5 else "utf-16-be"
        )
    letters = sum(byte > 0x7F for byte in sample)
    if (
        encoding != "utf-8"
        and letters >= 8
        and codecs.lookup(encoding).name not in {"utf-8", "utf-8-sig"}
        and _is_utf8(sample)
    ):
        raise _wrong_encoding(path, encoding, "utf-8")
    if encoding == "utf-8" and _is_double_encoded(sample):
        raise InputError(
            "was decoded with the wrong encoding before it was saved (letters like `Ã¡` and `áº`)",
            where=path.name,
            hint="Ask the sender for the file as its system wrote it.",
        )


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _is_double_encoded(sample: bytes) -> bool:
    """True when most lines with letters beyond ASCII are UTF-8 taken for Windows-1252 and saved again."""
    lines = [line for line in sample.decode("utf-8", "ignore").splitlines() if not line.isascii()]
    repaired = sum(repair_mojibake(line) is not None for line in lines)
    return len(lines) >= 3 and repaired > len(lines) // 2


def _undecodable(path: Path, encoding: str, error: UnicodeDecodeError, offset: int, line: int) -> InputError:
    before = error.object[: error.start]
    at_line = line + before.count(b"\n")
    with path.open("rb") as file:
        file.seek(max(0, offset + error.start - SAMPLE // 2))
        guess = from_bytes(file.read(SAMPLE), preemptive_behaviour=True).best()
    looks = f"It looks like {guess.encoding}." if guess else "Its encoding could not be guessed."
    return InputError(
        f"is not {encoding}: byte {offset + error.start + 1} cannot be read",
        where=f"{path.name}:{at_line}",
        hint=f"{looks} Set `encoding` in the source's declaration, or ask for the file again.",
    )


def _wrong_encoding(path: Path, declared: str, looks_like: str) -> InputError:
    return InputError(
        f"is declared as {declared} and looks like {looks_like}",
        where=path.name,
        hint=f"Set `encoding: {looks_like}` in the source's declaration.",
    )


def _looks_binary(path: Path, line: int) -> InputError:
    return InputError(
        "holds NUL bytes: it is no text file, or its encoding is utf-16",
        where=f"{path.name}:{line}",
        hint="Set `format` or `encoding` in the source's declaration.",
    )


def _line_too_long(path: Path, line: int) -> InputError:
    return InputError(
        f"has a line longer than {MAX_LINE:,} bytes",
        where=f"{path.name}:{line}",
        hint="Line ends are missing or damaged. Ask the sender for the file again.",
    )
