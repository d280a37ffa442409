"""Fetches an adapter's files from a repository of the Hub, after checking their names and sizes."""

import re
import shutil
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError

from adapters.adapter_files import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from adapters.library.zips import LIMITS, PICKLES
from adapters.methods import UserError

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
FETCHED = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
HUB_ERRORS = (HTTPError, HFValidationError, OSError)


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


def check_size(name: str, size: int | None) -> None:
    """Raise UserError for a file that is too large or of unknown size."""
    if size is None or size > LIMITS[name]:
        raise UserError(f"{name} has {size or 'unknown'} bytes, at most {LIMITS[name]:,} can be imported.")


def one_line(error: Exception) -> str:
    """Message of an error of the Hub, shortened."""
    return " ".join(str(error).split())[:300]
