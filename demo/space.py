"""`python -m demo.space check`: what is wrong or missing here for a Space on the Hub, a line each.

Knows the front matter of README.md, the pins and the files in git; asks no server.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceHardware
from yaml import YAMLError

from adapters.base_model import EMBEDDED_FILE, EMBEDDED_REPO

FILES = ("README.md", "LICENSE", "requirements.txt")
MAX_DESCRIPTION = 60  # characters; the Hub refuses more
MAX_BYTES = 10_000_000  # of a file; the Hub takes larger ones through Xet only
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:==([^\s;#]+))?", re.MULTILINE)


def faults(root: Path) -> list[str]:
    """What is wrong with the repository in this folder."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]  # another user may own the checkout
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True).stdout
    sizes = {path: (root / path).stat().st_size for path in listing.split("\0") if (root / path).is_file()}
    if missing := [f"{name} is missing in git." for name in FILES if name not in sizes]:
        return missing
    pins = {name.lower(): pinned for name, pinned in PIN.findall((root / "requirements.txt").read_text("utf-8"))}
    large = [f"{path} has {size / 1e6:.0f} MB: 10 MB at most." for path, size in sizes.items() if size > MAX_BYTES]
    named = ["requirements.txt: remove spaces; the platform brings its own."] if "spaces" in pins else []
    return [*front_matter(root / "README.md", pins.get("gradio", "a pin"), set(sizes)), *named, *large]


def front_matter(readme: Path, gradio: str, files: set[str]) -> list[str]:
    """What is wrong with the first lines of README.md; `gradio` is the pinned version."""
    try:
        card = SpaceCard.load(readme).data.to_dict()
    except (ValueError, YAMLError) as error:
        return [f"README.md: its front matter cannot be read: {' '.join(str(error).split())}"]
    hardware = [each.value for each in SpaceHardware]
    preloaded = f"{EMBEDDED_REPO} {EMBEDDED_FILE}"
    about = str(card.get("short_description", ""))
    wanted = {  # field: whether it is right, what to do
        "title": (True, ""),
        "sdk": (card.get("sdk") == "gradio", "set gradio"),
        "sdk_version": (card.get("sdk_version") == gradio, f"set {gradio}, as requirements.txt"),
        "python_version": (card.get("python_version") == "3.12", 'set "3.12", in quotes'),
        "app_file": (card.get("app_file") in files, "there is no such file"),
        "license": (True, ""),
        "short_description": (len(about) <= MAX_DESCRIPTION, f"shorten to {MAX_DESCRIPTION} characters"),
        "suggested_hardware": (card.get("suggested_hardware") in hardware, f"set one of {', '.join(hardware)}"),
        "preload_from_hub": (preloaded in (card.get("preload_from_hub") or ()), f"add {preloaded}"),
        "models": (EMBEDDED_REPO in (card.get("models") or ()), f"add {EMBEDDED_REPO}"),
        "tags": (True, ""),
    }
    return [
        f"README.md: {name} is {f'{card[name]!r}: {todo}' if card.get(name) else 'missing'}."
        for name, (right, todo) in wanted.items()
        if not (card.get(name) and right)
    ]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m demo.space", description="Look after a Space on the Hub.")
    top.add_subparsers(required=True).add_parser("check", help="say what is missing or wrong; exit code 1 if anything")
    return top


def main(arguments: list[str]) -> int:
    parser().parse_args(arguments)
    found = faults(Path(__file__).parents[1])
    print("\n".join(found) or "This repository can be pushed to a Space.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
