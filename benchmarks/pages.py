"""Parts of the docs that commands write: everything between `<!-- name -->` and `<!-- /name -->`."""

from collections.abc import Iterable
from pathlib import Path

from adapters.methods import UserError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def part(page: str, name: str) -> tuple[str, str, str]:
    """A page as text before, inside and after the part `name`. Raises UserError if the page lacks its marks."""
    before, begin, rest = page.partition(f"<!-- {name} -->\n")
    inside, end, after = rest.partition(f"<!-- /{name} -->")
    if not (begin and end):
        raise UserError(f"The page has no place for {name}: add <!-- {name} --> and <!-- /{name} --> lines.")
    return before + begin, inside, end + after


def write_part(file: Path, name: str, content: str) -> None:
    """Replace a part of a page by `content`, in Markdown. Raises UserError if the page lacks its marks."""
    before, _, after = part(file.read_text("utf-8"), name)
    file.write_text(f"{before}{content}\n{after}", "utf-8")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = list(heads)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, ["---"] * len(columns), *rows])


def check_writable(*files: Path | None) -> None:
    """Raises UserError if the folder of a file is missing, before any work is done."""
    for file in files:
        if file is not None and not file.resolve().parent.is_dir():
            raise UserError(f"Cannot write {file}: name a file in a folder that exists.")
