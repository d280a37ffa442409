"""Zips of adapter folders: written the same to the byte each time, and read without trust.

A stranger's zip may lie about sizes, repeat a name, point out of the folder or to another file, or unpack to more than
a disk holds. So each read is short, nothing is written under a name from the zip, and each file has a limit.
"""

import io
import shutil
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from adapters.adapter_files import CONFIG_FILE, LIMITS, WEIGHTS_FILE, new_file
from adapters.methods import UserError

MAX_ENTRIES = 64
MAX_READ = 131_072  # bytes read at once; more than the directory of a zip with MAX_ENTRIES takes
CHUNK = 65_536
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
LITTER = ("__MACOSX/", ".DS_Store")  # a Mac adds these to every zip
EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every entry: a zip's hash must not depend on its age


class ShortReads(io.FileIO):
    """A file that refuses long reads: ZipFile reads a whole directory at once, and makes an object of each entry."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_READ:
            raise UserError(f"The zip has too many entries: an adapter has at most {len(LIMITS)} files.")
        return super().read(MAX_READ if size is None or size < 0 else size) or b""


def pack(files: Mapping[str, Path], target: Path) -> Path:
    """Write files into a zip under the names given, whole or not at all; equal files make equal bytes."""
    # Stored as they are: weights do not shrink, and zlib's output has versions.
    with new_file(target) as scratch, ZipFile(scratch, "w", ZIP_STORED) as archive:
        for name in sorted(files):
            info = ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            info.file_size = files[name].stat().st_size
            with files[name].open("rb") as source, archive.open(info, "w") as into:
                shutil.copyfileobj(source, into, CHUNK)
    return target


def unpack(file: Path, folder: Path) -> None:
    """Write the adapter's files, at the top of a zip or in its one folder, into `folder`.

    Raises UserError for anything else in the zip; `folder` may then hold a part of it.
    """
    with ShortReads(file) as stream:
        try:
            archive = ZipFile(stream)
        except UserError:
            raise
        except (BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise UserError("This is no plain zip file: make one of the adapter's folder.") from error
        try:
            with archive:
                for name, entry in adapter_entries(archive.infolist()).items():
                    with archive.open(entry) as source, (folder / name).open("xb") as into:
                        shutil.copyfileobj(source, into, CHUNK)  # no more than the size that was checked
                        if into.tell() != entry.file_size:
                            raise UserError(f"The zip is damaged: {entry.filename} is shorter than it says.")
        except (BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise UserError(f"The zip is damaged: {' '.join(str(error).split())[:200]}.") from error


def adapter_entries(entries: list[ZipInfo]) -> dict[str, ZipInfo]:
    """Entries of an adapter's files by their plain names. Raises UserError for any other entry."""
    if len(entries) > MAX_ENTRIES:
        raise UserError(f"The zip has {len(entries)} entries: an adapter has at most {len(LIMITS)} files.")
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
        check_size(name, entry.file_size)
        found[name] = entry
        folders.add(folder)
    if missing := [name for name in (CONFIG_FILE, WEIGHTS_FILE) if name not in found]:
        raise UserError(f"The zip holds no {missing[0]}: put the files of a PEFT adapter into it.")
    if len(folders) > 1:
        raise UserError("The zip holds files in several folders: put them all into one.")
    return found


def check_size(name: str, size: int | None) -> None:
    """Raise UserError for a file that is too large or of unknown size."""
    if size is None or size > LIMITS[name]:
        told = "unknown" if size is None else f"{size:,}"
        raise UserError(f"{name} has {told} bytes, at most {LIMITS[name]:,} can be imported.")


def check_entry(entry: ZipInfo) -> None:
    """Raise UserError for an entry that is no file of an adapter or not plainly stored, and say why it can do harm."""
    path, is_file = entry.filename, not entry.is_dir()
    parts = path.removesuffix("/").split("/")
    kind, ending = stat.S_IFMT(entry.external_attr >> 16), parts[-1].lower()
    holds = f"The zip holds {path[:100]!r}"
    faults = {
        f"{holds}, a path out of the folder: zip the adapter's folder again.": (
            not {"", ".", ".."}.isdisjoint(parts) or "\\" in path or ":" in path
        ),
        f"{holds}, a link and no file: zip the files themselves.": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        f"{path[:100]!r} is encrypted or compressed in an unusual way: make a plain zip.": (
            entry.flag_bits & 1 or entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED)
        ),
        f"{holds}: put the files at its top or into one folder.": len(parts) > 1 + is_file,
        f"{holds}, a pickle, which can run code: save the adapter as {WEIGHTS_FILE}.": (
            is_file and ending.endswith(PICKLES)
        ),
        f"{holds}, an archive within the archive: unpack it first.": is_file and ending.endswith(ARCHIVES),
        f"{holds}: an adapter is {', '.join(LIMITS)} and nothing else.": is_file and parts[-1] not in LIMITS,
    }
    if found := next((fault for fault, applies in faults.items() if applies), None):
        raise UserError(found)
