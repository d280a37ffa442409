"""Imports adapters from a zip or the Hub; exports, merges, publishes and deletes them.

An import is written aside, read as it will be run, and only then renamed into place: no failure leaves anything behind.
"""

import copy
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError

from adapters import adapter_files
from adapters.adapter_files import CARD_FILE, CONFIG_FILE, LIMITS, WEIGHTS_FILE, read_owner, read_report
from adapters.base_model import BaseModel
from adapters.cards import render
from adapters.library.zips import PICKLES, check_size, pack, unpack
from adapters.lora.lora import merged_state
from adapters.lora.rows import LoraWeights
from adapters.methods import UserError
from adapters.pplm.discriminator import DISCRIMINATOR_FILE
from adapters.store.adapter_store import Adapter, AdapterStore
from adapters.training.card import Report

PUBLIC = (*LIMITS, DISCRIMINATOR_FILE)  # files that may leave the machine; the owner's is none of them
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
FETCHED = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
HUB_ERRORS = (HTTPError, HFValidationError, OSError)


class Library:
    """The adapters of one store; visitors' are the folders in `own`."""

    def __init__(
        self,
        base: BaseModel,
        store: AdapterStore,
        own: Path,
        source: HfApi | None = None,
        target: HfApi | None = None,
        max_bytes: int = 100_000_000,
    ) -> None:
        """`source`: where to fetch adapters from, None: nowhere. `target`: where to publish, with the operator's token.
        `max_bytes`: of a zip that is imported."""
        self._base, self._store, self._own, self._max_bytes = base, store, own, max_bytes
        self._source, self._target = source, target
        self.can_fetch, self.can_push = source is not None, target is not None  # what the operator permits
        self._merging, self._deleting = threading.Lock(), threading.Lock()

    def import_zip(self, file: Path, name: str, owner: str | None) -> Adapter:
        """Import the adapter in a zip as `name`. Raises UserError; then nothing is new."""
        if file.stat().st_size > self._max_bytes:
            raise UserError(f"The zip has {file.stat().st_size:,} bytes, at most {self._max_bytes:,} are read here.")
        return self._import(name, owner, lambda made: unpack(file, made))

    def import_from_hub(self, repo: str, name: str, owner: str | None) -> Adapter:
        """Import from a repository of the Hub, never from a local folder. Raises UserError; then nothing is new."""
        if self._source is None:
            raise UserError(
                "No adapters from the Hub are permitted here: the operator may set STEERBOARD_HUB_ADAPTERS=1."
            )
        check_repo(repo)
        source = self._source
        return self._import(name, owner, lambda made: fetch(source, repo, made.parent / "hub", made))

    def room_line(self) -> str:
        """One line that says what the largest import would remove; empty while there is room."""
        try:
            return self._store.room_line(self._max_bytes)
        except UserError as error:
            return str(error)

    def zip(self, name: str, into: Path) -> Path:
        """Zip of an adapter or discriminator in the folder `into`; equal files make equal bytes. Raises UserError."""
        folder = self._store.folder(name)
        files = {f"{name}/{file}": folder / file for file in PUBLIC if (folder / file).is_file()}
        return pack(files, into / f"{name}.zip")

    def merged(self, name: str, into: Path) -> Path:
        """Zip of the base model with a LoRA merged into it. `into` keeps only the newest. Raises UserError."""
        adapter = self._store.find(name)
        if adapter.kind != "lora":
            raise UserError(
                f"{name} is a prefix: it adds entries to the cache and changes no weights, so there is nothing to "
                "merge. Download it as it is."
            )
        with self._merging:  # one at a time: it takes the memory and the disk of a model
            target = into / "merged" / adapter.digest[:16] / f"{name}-merged.zip"
            if target.is_file():
                target.touch()
                return target
            shutil.rmtree(into / "merged", ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".merge-", dir=into) as scratch:
                folder = Path(scratch) / name
                write_merged(self._base, self._store.lora(name), name, folder)
                target.parent.mkdir(parents=True)
                return pack({f"{name}-merged/{file.name}": file for file in folder.iterdir()}, target)

    def push(self, name: str, repo: str) -> str:
        """Publish an adapter or discriminator in a new, private repository; return its address. Raises UserError.

        An existing repository is never written to: the token may open more than this app should touch.
        """
        if self._target is None:
            raise UserError("Nothing can be published here: the operator sets HF_TOKEN to a token that may write.")
        folder = self._store.folder(name)
        check_repo(repo)
        try:
            self._target.create_repo(repo, repo_type="model", private=True, exist_ok=False)
            self._target.upload_folder(
                repo_id=repo, folder_path=folder, allow_patterns=list(PUBLIC), commit_message=f"Add {name}"
            )
        except HUB_ERRORS as error:
            raise UserError(f"The Hub did not take {name} into {repo!r}: {one_line(error)}") from error
        return f"{self._target.endpoint}/{repo}"

    def delete(self, name: str, owner: str | None, operator: bool = False) -> None:
        """Delete one's own adapter or discriminator, as operator anybody's; runs keep its figures. Raises UserError."""
        adapter_files.check_name(name)
        folder = self._own / name
        with self._deleting:
            if not folder.is_dir() or folder.is_symlink():
                self._store.folder(name)
                raise UserError(f"{name} comes with the project and cannot be deleted.")
            if not operator and (owner is None or read_owner(folder) != owner):
                raise UserError(f"{name} was made by somebody else or on the command line: it is not yours to delete.")
            self._store.remove(folder)

    def owner(self, name: str) -> str | None:
        """Owner of an adapter or discriminator, None for nobody. Raises UserError for an unknown name."""
        return read_owner(self._store.folder(name))

    def card(self, name: str) -> str:
        """README.md of an adapter or discriminator, "" where there is none. It may be a stranger's text."""
        return read_card(self._store.folder(name))

    def report(self, name: str) -> Report | None:
        """Figures in the folder of an adapter, None where there are none. Raises UserError."""
        return read_report(self._store.find(name).folder, Report)

    def _import(self, name: str, owner: str | None, write: Callable[[Path], None]) -> Adapter:
        """Write an adapter aside, check it as it will be run, move it among the visitors' and offer it."""
        with self._store.reserve(name):
            folder = self._own / name
            with adapter_files.new_folder(folder) as made:
                write(made)
                read_card(made)
                read_report(made, Report)
                self._store.check(made)
                adapter_files.write_owner(made, owner)
                self._store.make_room(adapter_files.folder_bytes(made))
            try:
                self._store.offer(folder)
            except UserError:
                shutil.rmtree(folder)
                raise
            return self._store.find(name)


def write_merged(base: BaseModel, lora: LoraWeights, name: str, folder: Path) -> None:
    """Write the base model with a LoRA merged into it, its tokenizer and a card. Raises UserError.

    Equal to PEFT's `merge_and_unload` in float32; in another dtype the sum is rounded once. Needs no engine's turn:
    merged weights are new tensors, and `save_pretrained` writes into the config of a copy.
    """
    shell: Any = copy.copy(base.model)
    shell.config = copy.deepcopy(base.model.config)
    shell.save_pretrained(folder, state_dict=merged_state(base, lora))
    base.tokenizer.save_pretrained(folder)
    (folder / CARD_FILE).write_text(render("merged", base.id, name=name), "utf-8")


def read_card(folder: Path) -> str:
    """README.md of an adapter, "" where there is none. Raises UserError."""
    try:
        return (folder / CARD_FILE).read_text("utf-8") if (folder / CARD_FILE).is_file() else ""
    except UnicodeDecodeError as error:
        raise UserError(f"{CARD_FILE} is not text in UTF-8: save it so, or leave it out.") from error


def fetch(api: HfApi, repo: str, scratch: Path, folder: Path) -> None:
    """Fetch the two files and the card of a repository, all of one commit, into `folder`. Raises UserError."""
    try:
        info = api.model_info(repo, files_metadata=True)
        sizes = {file.rfilename: file.size for file in info.siblings or []}
        if missing := [name for name in (CONFIG_FILE, WEIGHTS_FILE) if name not in sizes]:
            pickled = any(file.startswith("adapter_model") and file.endswith(PICKLES) for file in sizes)
            why = f"only a pickle, which can run code: it has to be saved as {WEIGHTS_FILE}"
            raise UserError(f"{repo} holds {why if pickled else f'no {missing[0]}: it is no PEFT adapter'}.")
        for name in (name for name in FETCHED if name in sizes):
            check_size(name, sizes[name])
            found = api.hf_hub_download(repo, name, revision=info.sha, local_dir=scratch)
            check_size(name, Path(found).stat().st_size)
            shutil.copyfile(found, folder / name)
    except HUB_ERRORS as error:
        raise UserError(f"Cannot fetch {repo!r} from the Hub: {one_line(error)}") from error


def check_repo(repo: str) -> None:
    """Raise UserError for a text that cannot be the name of a repository."""
    if not isinstance(repo, str) or not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UserError(f"{str(repo)[:100]!r} is no repository of the Hub: write it as OWNER/NAME.")


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
