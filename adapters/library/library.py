"""Adapters that come and go: taken in from a zip or from the Hub, saved, merged, published, deleted.

Knows folders, zips and the Hub; what makes an adapter sound is checked by the store's own readers. What is taken in is
written aside, read as it will be run, and only then renamed into place: no failure leaves anything behind, and nothing
here ever holds a model that could be rewired.
"""

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Collection
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError

from adapters.adapter_files import (
    CARD_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    WEIGHTS_FILE,
    check_name,
    read_config,
    read_owner,
    write_owner,
)
from adapters.base_model import BaseModel
from adapters.library.zips import LIMITS, PICKLES, pack, unpack
from adapters.lora.merge import write_merged
from adapters.methods import UserError, from_json
from adapters.pplm.discriminator import DISCRIMINATOR_FILE
from adapters.store.adapter_store import Adapter, AdapterStore
from adapters.training.card import Report

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
PUBLIC = (*LIMITS, DISCRIMINATOR_FILE)  # the files of a folder that may leave the machine: the owner's is none of them
MAX_ZIP_BYTES = 100_000_000
LEFT_BEHIND = 3600  # seconds after which a scratch folder is one of a process that was killed
FETCHED = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)


class Library:
    """The adapters of one store; own ones are the folders in `own`."""

    def __init__(
        self,
        base: BaseModel,
        store: AdapterStore,
        own: Path,
        source: HfApi | None = None,
        target: HfApi | None = None,
        max_bytes: int = MAX_ZIP_BYTES,
    ) -> None:
        """`source`: where adapters may be fetched from, None: nowhere. `target`: where they may be published, with the
        operator's token. `max_bytes`: of a zip that is taken in."""
        self._base, self._store, self._own, self._max_bytes = base, store, own, max_bytes
        self._source, self._target = source, target
        self._placing = threading.Lock()
        for scratch in [*own.glob(".import-*"), *own.glob(".delete-*")]:
            if time.time() - scratch.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(scratch)

    @property
    def can_fetch(self) -> bool:
        """Whether the operator permits adapters from the Hub."""
        return self._source is not None

    @property
    def can_push(self) -> bool:
        """Whether the operator gave a token for the Hub."""
        return self._target is not None

    def import_zip(self, file: Path, name: str, owner: str | None) -> Adapter:
        """The adapter in a zip, usable as `name` from now on. Raises UserError; then there is nothing new."""
        if file.stat().st_size > self._max_bytes:
            raise UserError(f"The zip has {file.stat().st_size:,} bytes, at most {self._max_bytes:,} are read here.")
        with self._store.reserve(name), self._scratch() as scratch:
            made = Path(scratch) / name
            made.mkdir()
            unpack(file, made)
            return self._place(made, owner)

    def import_from_hub(self, repo: str, name: str, owner: str | None) -> Adapter:
        """The adapter in a repository of the Hub, usable as `name` from now on; a local folder is never looked at.

        Sizes are checked before anything is fetched, and all of it is of one commit. Raises UserError.
        """
        if self._source is None:
            raise UserError(
                "No adapters from the Hub are permitted here: the operator may set STEERBOARD_HUB_ADAPTERS=1."
            )
        check_repo(repo)
        with self._store.reserve(name), self._scratch() as scratch:
            made = Path(scratch) / name
            made.mkdir()
            fetch(self._source, repo, Path(scratch) / "hub", made)
            return self._place(made, owner)

    def zip(self, name: str, into: Path) -> Path:
        """A zip of an adapter or discriminator in the folder `into`; the same files make the same bytes.

        Raises UserError for an unknown name.
        """
        folder = self._folder(name)
        files = {f"{name}/{file}": folder / file for file in PUBLIC if (folder / file).is_file()}
        return pack(files, into / f"{name}.zip")

    def merged(self, name: str, into: Path) -> Path:
        """A zip, in the folder `into`, of the base model with a LoRA merged into it. Raises UserError."""
        if self._store.find(name).kind != "lora":
            raise UserError(
                f"{name} is a prefix: it adds entries to the cache and changes no weights, so there is nothing to "
                "merge. Download it as it is."
            )
        with tempfile.TemporaryDirectory(prefix=".merge-", dir=into) as scratch:
            folder = Path(scratch) / name
            write_merged(self._base, self._store.lora(name), name, folder)
            files = {f"{name}-merged/{file.name}": file for file in folder.iterdir()}
            return pack(files, into / f"{name}-merged.zip")

    def push(self, name: str, repo: str) -> str:
        """Publishes an adapter or discriminator with its card in a new, private repository; returns its address.

        What is there already is never overwritten: the token may open more than this app is meant to touch. Raises
        UserError.
        """
        if self._target is None:
            raise UserError("Nothing can be published here: the operator sets HF_TOKEN to a token that may write.")
        folder = self._folder(name)
        check_repo(repo)
        try:
            self._target.create_repo(repo, repo_type="model", private=True, exist_ok=False)
            self._target.upload_folder(
                repo_id=repo, folder_path=folder, allow_patterns=list(PUBLIC), commit_message=f"Add {name}"
            )
        except (HTTPError, HFValidationError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"The Hub did not take {name} into {repo!r}: {reason}") from error
        return f"{self._target.endpoint}/{repo}"

    def delete(self, name: str, owner: str | None) -> None:
        """Deletes an own adapter or discriminator for good; runs keep what they have of it.

        Raises UserError for one that comes with the project, one of somebody else, and an unknown name.
        """
        check_name(name)
        folder = self._own / name
        with self._placing:
            if not folder.is_dir() or folder.is_symlink():
                self._folder(name)
                raise UserError(f"{name} comes with the project and cannot be deleted.")
            if owner is None or read_owner(folder) != owner:
                raise UserError(f"{name} was made by somebody else or on the command line: it is not yours to delete.")
            with tempfile.TemporaryDirectory(prefix=".delete-", dir=self._own) as scratch:
                folder.rename(Path(scratch) / name)  # at once, so that no part of it is ever read
                self._store.withdraw(name)

    def owner(self, name: str) -> str | None:
        """Whose an adapter or discriminator is, None: nobody's. Raises UserError for an unknown name."""
        return read_owner(self._folder(name))

    def card(self, name: str) -> str:
        """The README.md of an adapter or discriminator, "" where there is none. It may be a stranger's text."""
        file = self._folder(name) / CARD_FILE
        return file.read_text("utf-8") if file.is_file() else ""

    def report(self, name: str) -> Report | None:
        """The figures of an adapter as its folder says, None where it does not. Raises UserError."""
        folder = self._store.find(name).folder
        return from_json(Report, read_config(folder, METRICS_FILE)) if (folder / METRICS_FILE).is_file() else None

    def _scratch(self) -> "tempfile.TemporaryDirectory[str]":
        self._own.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".import-", dir=self._own)

    def _place(self, made: Path, owner: str | None) -> Adapter:
        """Reads an adapter as it will be run, moves its folder among the own ones and offers it. Raises UserError."""
        check_texts(made)
        self._store.check(made)
        write_owner(made, owner)
        folder = self._own / made.name
        made.rename(folder)
        try:
            self._store.offer(folder)
        except UserError:
            shutil.rmtree(folder)
            raise
        return self._store.find(made.name)

    def _folder(self, name: str) -> Path:
        """Of an adapter or a discriminator. Raises UserError for an unknown name."""
        return (
            self._store.discriminator_folders[name]
            if name in self._store.discriminator_folders
            else self._store.find(name).folder
        )


def check_repo(repo: str) -> None:
    """Raises UserError for what cannot be the name of a repository."""
    if not isinstance(repo, str) or not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UserError(f"{str(repo)[:100]!r} is no repository of the Hub: write it as OWNER/NAME.")


def check_texts(folder: Path) -> None:
    """Raises UserError where the card or the figures that came with an adapter cannot be read."""
    try:
        if (folder / CARD_FILE).is_file():
            (folder / CARD_FILE).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{CARD_FILE} is not text in UTF-8: save it so, or leave it out.") from error
    if (folder / METRICS_FILE).is_file():
        from_json(Report, read_config(folder, METRICS_FILE))


def fetch(api: HfApi, repo: str, scratch: Path, folder: Path) -> None:
    """The two files and the card of a repository, of one commit, into `folder`. Raises UserError."""
    try:
        info = api.model_info(repo, files_metadata=True)
        sizes = {file.rfilename: file.size for file in info.siblings or []}
        check_listing(repo, sizes)
        for name in (name for name in FETCHED if name in sizes):
            check_size(name, sizes[name])
            found = api.hf_hub_download(repo, name, revision=info.sha, local_dir=scratch)
            check_size(name, Path(found).stat().st_size)
            shutil.copyfile(found, folder / name)
    except (HTTPError, HFValidationError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"Cannot fetch {repo!r} from the Hub: {reason}") from error


def check_listing(repo: str, names: Collection[str]) -> None:
    """Raises UserError where a repository lacks one of the two files."""
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if name not in names:
            pickled = any(file.startswith("adapter_model") and file.endswith(PICKLES) for file in names)
            why = f"only a pickle, which can run code: it has to be saved as {WEIGHTS_FILE}"
            raise UserError(f"{repo} holds {why if pickled else f'no {name}: it is no PEFT adapter'}.")


def check_size(name: str, size: int | None) -> None:
    """Raises UserError for a file that is too large, or whose size nobody says."""
    if size is None or size > LIMITS[name]:
        raise UserError(f"{name} has {size or 'unknown'} bytes, at most {LIMITS[name]:,} can be taken in.")
