"""The disk quota of what visitors leave: adapters and discriminators with an owner, in one folder.

The owner file's time is the last use of its folder.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from adapters.adapter_files import OWNER_FILE
from adapters.methods import UserError


def note_use(folder: Path) -> None:
    """Mark what a visitor left in `folder` as used now; do nothing for other folders."""
    with suppress(OSError):
        os.utime(folder / OWNER_FILE)


def folder_bytes(folder: Path) -> int:
    """Size of the files directly in `folder`."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def left_by_visitors(own: Path) -> dict[str, int]:
    """Names and bytes of what visitors left in `own`, the longest unused first."""
    owners = own.glob(f"[!.]*/{OWNER_FILE}")
    return {file.parent.name: folder_bytes(file.parent) for file in sorted(owners, key=lambda f: f.stat().st_mtime)}


def to_remove(own: Path, needed: int, max_bytes: int, keep: Collection[str]) -> tuple[str, ...]:
    """Names to remove so that `needed` more bytes fit, the longest unused first, none of those in `keep`.

    Raises UserError where even that is not enough.
    """
    left = left_by_visitors(own)
    excess, names = sum(left.values()) + needed - max_bytes, []
    for name in (name for name in left if name not in keep):
        if excess <= 0:
            break
        excess -= left[name]
        names.append(name)
    if excess > 0:
        raise UserError(
            f"It needs {needed / 1e6:.3g} MB, and visitors may leave {max_bytes / 1e6:.3g} MB: make it smaller."
        )
    return tuple(names)
