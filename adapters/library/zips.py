"""Zips of adapter folders: written the same to the byte each time, and read without trusting anything in them.

Knows zip files and the names of an adapter's files; knows nothing of what is in those files. A zip from outside may lie
about its sizes, repeat a name, point out of the folder or to another file, or unpack to what no disk can hold: so its
directory is measured before it is read, nothing is written under a name that the zip gives, and every file has a limit.
"""

import stat
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from adapters.adapter_files import (
    CARD_FILE,
    CONFIG_FILE,
    MAX_CONFIG_BYTES,
    MAX_METRICS_BYTES,
    METRICS_FILE,
    WEIGHTS_FILE,
)
from adapters.methods import UserError

MAX_WEIGHTS_BYTES = 512_000_000  # r = 256 on every linear layer of the embedded model takes 170 MB in float32
LIMITS = {  # bytes of each file that an adapter may consist of
    CONFIG_FILE: MAX_CONFIG_BYTES,
    WEIGHTS_FILE: MAX_WEIGHTS_BYTES,
    CARD_FILE: 262_144,
    METRICS_FILE: MAX_METRICS_BYTES,
}
MAX_ENTRIES = 64
MAX_DIRECTORY_BYTES = 65_536
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
LITTER = ("__MACOSX/", ".DS_Store")  # what a Mac adds to every zip
END = struct.Struct("<4s4H2LH")  # of the directory: signature, disks, entries here and in all, size, offset, comment
END_64_BYTES = 20
CHUNK = 1_048_576
EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every entry: a zip's hash must not depend on when it was made


def pack(files: Mapping[str, Path], target: Path) -> Path:
    """Writes files into a zip under the names given, whole or not at all; the same files make the same bytes."""
    scratch = target.with_name(f".{target.name}.part")
    try:
        with ZipFile(scratch, "w", ZIP_STORED) as archive:  # weights do not shrink, and zlib's output has versions
            for name in sorted(files):
                info = ZipInfo(name, EPOCH)
                info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
                info.file_size = files[name].stat().st_size
                with files[name].open("rb") as source, archive.open(info, "w") as into:
                    copy(source, into)
        scratch.rename(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def copy(source: IO[bytes], into: IO[bytes]) -> int:
    """Copies a stream piece by piece; returns its length."""
    count = 0
    while piece := source.read(CHUNK):
        count += into.write(piece)
    return count


def unpack(file: Path, folder: Path) -> None:
    """The files of the adapter in a zip, at its top or in its one folder, written into `folder`.

    Raises UserError with one line for anything that is not exactly that; `folder` may then hold a part of it.
    """
    check_directory(file)
    try:
        with ZipFile(file) as archive:
            for name, entry in adapter_entries(archive.infolist()).items():
                with archive.open(entry) as source, (folder / name).open("xb") as into:
                    if copy(source, into) != entry.file_size:
                        raise UserError(f"The zip is damaged: {name} is shorter than it says.")
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise UserError(f"The zip is damaged: {' '.join(str(error).split())[:200]}.") from error


def check_directory(file: Path) -> None:
    """Raises UserError where the directory of a zip is missing or larger than an adapter's can be.

    Python reads the whole directory, an object for each entry, before one can ask how many there are.
    """
    with file.open("rb") as stream:
        length = stream.seek(0, 2)
        stream.seek(max(0, length - END.size - END_64_BYTES))
        end = stream.read()
    if len(end) < END.size or end[-END.size :][:4] != b"PK\x05\x06" or end[:4] == b"PK\x06\x07":
        raise UserError("This is no plain zip file: make one of the adapter's folder, without a comment.")
    _, _, _, here, entries, size, _, comment = END.unpack(end[-END.size :])
    if here != entries or entries > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES or comment:
        raise UserError(f"The zip says that it has {entries} entries: an adapter has at most {len(LIMITS)} files.")


def adapter_entries(entries: list[ZipInfo]) -> dict[str, ZipInfo]:
    """The entries of an adapter's files by their plain names. Raises UserError for any other entry."""
    found: dict[str, ZipInfo] = {}
    folders = set()
    for entry in entries:
        if entry.filename.startswith(LITTER[0]) or entry.filename.endswith(LITTER[1]):
            continue
        check_entry(entry)
        folder, _, name = entry.filename.rpartition("/")
        if entry.is_dir():
            continue
        if name in found:
            raise UserError(f"The zip holds {name} twice: put one adapter into it.")
        if entry.file_size > LIMITS[name]:
            raise UserError(f"{name} has {entry.file_size:,} bytes, at most {LIMITS[name]:,} can be taken in.")
        found[name] = entry
        folders.add(folder)
    if missing := [name for name in (CONFIG_FILE, WEIGHTS_FILE) if name not in found]:
        raise UserError(f"The zip holds no {missing[0]}: put the files of a PEFT adapter into it.")
    if len(folders) > 1:
        raise UserError("The zip holds files in several folders: put them all into one.")
    return found


def check_entry(entry: ZipInfo) -> None:
    """Raises UserError for an entry that is no file of an adapter, or not plainly stored."""
    shown = repr(entry.filename[:100])
    parts = entry.filename.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in entry.filename or ":" in entry.filename:
        raise UserError(f"The zip holds {shown}, a path that leads elsewhere: make it anew from the adapter's folder.")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(f"The zip holds {shown}, a link and no file: make it anew from the files themselves.")
    if entry.flag_bits & 1 or entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise UserError(f"{shown} is encrypted or packed in an unusual way: make a plain zip.")
    if len(parts) > (1 if entry.is_dir() else 2):
        raise UserError(f"The zip holds {shown}: put the files at its top or into one folder.")
    if not entry.is_dir():
        check_file_name(parts[-1], shown)


def check_file_name(name: str, shown: str) -> None:
    """Raises UserError for a file that no adapter needs; one that can do harm is called by what it is."""
    if name.lower().endswith(PICKLES):
        raise UserError(f"The zip holds {shown}, a pickle, which can run code: save the adapter as {WEIGHTS_FILE}.")
    if name.lower().endswith(ARCHIVES):
        raise UserError(f"The zip holds {shown}, an archive within the archive: unpack it first.")
    if name not in LIMITS:
        raise UserError(f"The zip holds {shown}: an adapter is {', '.join(LIMITS)} and nothing else.")
