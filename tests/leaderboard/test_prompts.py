"""Prompt sets: every refusal with its line, no value ever changed, no upload that breaks the reader."""

import csv
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from adapters.methods import UserError
from adapters.parquet import MEMORY, parquet_rows, read_table
from adapters.training.corpus import DATASETS, question, read_rows
from leaderboard.prompts import LIMITS, Limits, read_prompts, set_name, shipped_sets
from leaderboard.records import Prompt, PromptSet

ROOT = Path(__file__).parents[2]
GZIP = b"\x1f\x8b\x08\x00"
MUTANTS = 2_000  # of each of the five formats


def as_parquet(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def prompts(data: str | bytes, name: str = "set.csv") -> tuple[Prompt, ...]:
    return read_prompts(data.encode() if isinstance(data, str) else data, name).prompts


def refusal(data: str | bytes, name: str = "set.csv", limits: Limits = LIMITS) -> str:
    with pytest.raises(UserError) as caught:
        read_prompts(data.encode() if isinstance(data, str) else data, name, limits)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def attempt(data: bytes, name: str) -> PromptSet | None:
    """The prompt set, or None where it is refused in one line."""
    try:
        return read_prompts(data, name)
    except UserError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


class Reader:
    """Reads many Parquet files in one other process, which is replaced when a file kills it."""

    def __init__(self) -> None:
        self.context = get_context("forkserver")
        self.context.set_forkserver_preload(["pyarrow.parquet", "adapters.parquet"])
        self.start()

    def start(self) -> None:
        self.pool = ProcessPoolExecutor(1, self.context)

    def __call__(self, data: bytes, max_rows: int, max_bytes: int) -> bytes:
        try:
            return json.dumps(self.pool.submit(read_table, data, max_rows, max_bytes).result()).encode()
        except BrokenProcessPool as error:
            self.start()
            raise ValueError("broken") from error


@pytest.fixture
def one_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process of its own for each Parquet file would take minutes here."""
    reader = Reader()
    monkeypatch.setattr("adapters.reading.parquet_rows", reader)
    yield
    reader.pool.shutdown()


# What is read


def test_csv_values_stay_as_they_are() -> None:
    text = 'id,prompt,reference,topic\n007,NA, null ,"a,b"\n,"two\nlines\r\nand ""quotes""",,\u2028=1+1\n'
    assert prompts(text) == (
        Prompt("NA", " null ", "007", (("topic", "a,b"),)),
        Prompt('two\nlines\r\nand "quotes"', None, None, (("topic", "\u2028=1+1"),)),
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encode", [str.encode, lambda t: t.encode("utf-8-sig"), lambda t: t.encode("utf-16")])
def test_line_ends_and_encodings(end: str, encode: Callable[[str], bytes]) -> None:
    rows = (Prompt("über 你", None, None, (("tag", "x"),)), Prompt("b\x85c", None, None, (("tag", ""),)))
    table = end.join(["prompt,tag", "über 你,x", "", "b\x85c,"])
    assert prompts(encode(table)) == prompts(encode(table + end)) == rows
    assert prompts(encode(table.replace(",", "\t") + end), "set.tsv") == rows
    assert prompts(encode(end.join(["über 你", "", " b\x85c ", ""])), "set.txt") == (
        Prompt("über 你"),
        Prompt(" b\x85c "),
    )
    objects = ['{"prompt": "über 你", "tag": "x"}', "", '{"tag": "", "prompt": "b\\u0085c"}']
    assert prompts(encode(end.join(objects) + end), "SET.JSONL") == rows


def test_big_endian_utf_16_is_read() -> None:
    assert prompts(b"\xfe\xff" + "prompt\nx\n".encode("utf-16-be")) == (Prompt("x"),)


def test_json_numbers_are_kept_as_they_are_written() -> None:
    line = '{"prompt": "x", "id": 12345678901234567890, "a": 1e400, "b": -0.10, "c": true, "d": null, "reference": ""}'
    expected = (("a", "1e400"), ("b", "-0.10"), ("c", "true"))
    assert prompts(line, "set.jsonl") == (Prompt("x", None, "12345678901234567890", expected),)


def test_parquet_keeps_text_and_writes_numbers_as_json_does() -> None:
    columns = {
        "prompt": pa.array(["NA", "two\r\nlines"]).dictionary_encode(),
        "reference": pa.array([None, "r"], pa.large_string()),
        "id": [7, None],
        "flag": [True, False],
        "share": [0.1, 1e300],
        "nothing": pa.nulls(2),
    }
    assert prompts(as_parquet(columns), "set.parquet") == (
        Prompt("NA", None, "7", (("flag", "true"), ("share", "0.1"))),
        Prompt("two\r\nlines", "r", None, (("flag", "false"), ("share", "1e+300"))),
    )


def test_duplicate_prompts_are_counted_not_refused() -> None:
    assert read_prompts(b"a\nb\na\na\n", "set.txt").duplicates == 2


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("essays.csv", "essays"),
        ("../../etc/passwd.txt", "passwd"),
        ("C:\\Users\\me\\my set.v2.csv", "my set.v2"),
        ("<script>\0\n.csv", "-script---"),
        ("übung.csv", "übung"),
        (" .csv", "prompts"),
        ("x" * 300 + ".csv", "x" * 60),
    ],
)
def test_the_name_of_a_set_is_safe_and_short(filename: str, name: str) -> None:
    assert set_name(filename) == name


# What is refused

REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "unknown ending": (
        "x",
        "set.xlsx",
        "The file name ends with '.xlsx': give one of .csv, .tsv, .jsonl, .txt, .parquet.",
    ),
    "no ending": ("x", "set", "The file name ends with '': give one of .csv, .tsv, .jsonl, .txt, .parquet."),
    "empty": ("", "set.csv", "The file is empty: write at least one prompt."),
    "blank": (" \r\n\t\n", "set.txt", "The file is empty: write at least one prompt."),
    "only a mark": (
        b"\xff\xfe",
        "set.txt",
        "The file holds no prompt: write at least one below the names of the columns.",
    ),
    "only a header": (
        "prompt,id\n",
        "set.csv",
        "The file holds no prompt: write at least one below the names of the columns.",
    ),
    "zip": (
        b"PK\x03\x04rest",
        "set.csv",
        "The file is a ZIP archive, or a workbook or document of an office program, whatever its name says: "
        "upload the text itself as .csv.",
    ),
    "gzip": (GZIP, "set.txt", "The file is an archive, whatever its name says: upload the text itself as .txt."),
    "tar": (
        b"a" * 257 + b"ustar\0",
        "set.txt",
        "The file is an archive, whatever its name says: upload the text itself as .txt.",
    ),
    "html": (
        "\n<!DOCTYPE html>",
        "set.txt",
        "The file is an HTML page, whatever its name says: upload the text itself.",
    ),
    "parquet in disguise": (b"PAR1", "set.csv", "The file is a Parquet file: let its name end with .parquet."),
    "no prompt column": (
        "text;id\nx;1\n",
        "set.csv",
        "The header has no column 'prompt': the columns are 'text;id'; rename the one to continue.",
    ),
    "duplicate header": (
        "prompt,a,a\nx,1,2\n",
        "set.csv",
        "The header, field 'a': it is there twice: rename one of them.",
    ),
    "nameless column": (
        ",prompt\n0,x\n",
        "set.csv",
        "The header, field 1: it has no name: name the column or remove it.",
    ),
    "short row": (
        "prompt,a\nx,1\n\ny\n",
        "set.csv",
        "Row 2 (line 4), field 'a': it is missing: columns in the header: 2, in the row: 1.",
    ),
    "long row": (
        "prompt\na,b\n",
        "set.csv",
        "Row 1 (line 2), field 2: there is no such column: columns in the header: 1, in the row: 2; "
        "put text with delimiters in quotes.",
    ),
    "unclosed quote": (
        'prompt,a\n"x\ny",1\nz,"b\n',
        "set.csv",
        "Row 2 (line 4), field 'a': a quote is opened and never closed.",
    ),
    "text behind a quote": (
        'a,prompt\n"x","y"z\n',
        "set.csv",
        "Row 1 (line 2), field 'prompt': text stands behind a closing quote: double the quotes inside a value.",
    ),
    "lone return": (
        "prompt,a\nx\ry,1\n",
        "set.csv",
        "Row 1 (line 2), field 'prompt': a carriage return stands alone: end lines with a line feed, "
        "or put the value in quotes.",
    ),
    "return at the start": (
        "\rprompt",
        "set.csv",
        "The header, field 1: a carriage return stands alone: end lines with a line feed, or put the value in quotes.",
    ),
    "broken header": ('prompt,"a', "set.csv", "The header, field 2: a quote is opened and never closed."),
    "latin-1": (
        b"prompt\nx\ncaf\xe9\n",
        "set.csv",
        "Line 3: byte 13 of the file (0xE9) is not UTF-8: save the file as UTF-8.",
    ),
    "latin-1 behind a mark": (
        b"\xef\xbb\xbf\xe9",
        "set.txt",
        "Line 1: byte 4 of the file (0xE9) is not UTF-8: save the file as UTF-8.",
    ),
    "half a character": (
        "x\ny".encode("utf-16-le").join([b"\xff\xfe", b"z"]),
        "set.txt",
        "Line 2: byte 9 of the file (0x7A) is not UTF-16-LE: save the file as UTF-8.",
    ),
    "NUL": (
        "prompt,a\nx,\0\n",
        "set.csv",
        "Row 1 (line 2), field 'a': it holds a NUL character: remove it, or save the file as UTF-8.",
    ),
    "UTF-16 without a mark": (
        "x".encode("utf-16-le"),
        "set.txt",
        "Row 1 (line 1), field 'prompt': it holds a NUL character: remove it, or save the file as UTF-8.",
    ),
    "empty prompt": (
        'prompt,a\nx,1\n" ",2\n',
        "set.csv",
        "Row 2 (line 3), field 'prompt': it is empty: write something to continue, or remove the row.",
    ),
    "null prompt": (
        '{"prompt": null}',
        "set.jsonl",
        "Row 1 (line 1), field 'prompt': it is empty: write something to continue, or remove the row.",
    ),
    "same id": (
        "prompt,id\nx,1\ny,\nz,1\n",
        "set.csv",
        "Row 3, field 'id': '1' is the id of row 1 too: give it another.",
    ),
    "not JSON": ('{"prompt": "x"}\n{prompt}', "set.jsonl", "Row 2 (line 2) is not JSON: "),
    "JSON list": ('[{"prompt": "x"}]', "set.jsonl", 'Row 1 (line 1): write one object a line, {"prompt": "…"}.'),
    "JSON without a prompt": (
        '{"text": "x"}',
        "set.jsonl",
        "Row 1 (line 1) has no column 'prompt': the columns are 'text'; rename the one to continue.",
    ),
    "NaN": (
        '{"prompt": "x", "a": NaN}',
        "set.jsonl",
        "Row 1 (line 1), field 'a': NaN is not a value: write text, a number or null.",
    ),
    "infinity": (
        '{"prompt": -Infinity}',
        "set.jsonl",
        "Row 1 (line 1), field 'prompt': -Infinity is not a value: write text, a number or null.",
    ),
    "too deep": ("[" * 100_000, "set.jsonl", "Row 1 (line 1): it is nested too deeply: write plain values."),
    "nested": (
        '{"prompt": "x", "a": {"b": 1}}',
        "set.jsonl",
        "Row 1 (line 1), field 'a': it holds a list or an object: write plain text.",
    ),
    "lone surrogate": (
        '{"prompt": "x\\ud800"}',
        "set.jsonl",
        "Row 1 (line 1), field 'prompt': it holds half a surrogate pair: remove it.",
    ),
    "lone surrogate in a key": (
        '{"prompt": "x", "\\udfff": 1}',
        "set.jsonl",
        "Row 1 (line 1), field '\\udfff': it holds half a surrogate pair: remove it.",
    ),
    "duplicate key": (
        '{"prompt": "x", "prompt": "y"}',
        "set.jsonl",
        "Row 1 (line 1), field 'prompt': it is there twice: rename one of them.",
    ),
    "not Parquet": ("prompt\nx\n", "set.parquet", "The Parquet file cannot be read: Parquet magic bytes not found"),
}


@pytest.mark.parametrize(("data", "name", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_names_row_field_and_reason(data: str | bytes, name: str, message: str) -> None:
    assert refusal(data, name).startswith(message)


def test_limits_are_named_and_can_be_changed() -> None:
    limits = Limits(max_bytes=20, max_prompts=2, max_columns=2, max_characters=4)
    assert refusal("x" * 21, "set.txt", limits) == "The file has 21 bytes, at most 20 can be read: split it."
    message = "Row 3 (line 4): at most 2 rows can be read: split the file."
    assert refusal("prompt\na\nb\nc\n", "set.csv", limits) == message
    message = "Row 2 (line 2), field 'prompt': it has 5 characters, at most 4 can be read: shorten it."
    assert refusal("abcd\nabcde", "set.txt", limits) == message
    assert len(read_prompts("abcd\nüüüü".encode(), "set.txt", limits).prompts) == 2
    message = "Row 1 (line 2): at most 2 columns can be kept: remove some of them."
    assert refusal("prompt,a,b\n1,2,3\n", "set.csv", limits) == message
    rows = "\n".join(json.dumps({"prompt": "x", f"tag {place}": "y"}) for place in range(60))
    assert refusal(rows, "set.jsonl").startswith("Row 50 (line 50): at most 50 columns can be kept")
    assert LIMITS == (2_000_000, 500, 4_000, 50)
    assert len(read_prompts(b"x\n" * 500, "set.txt").prompts) == 500
    assert refusal("x\n" * 501, "set.txt").startswith("Row 501 (line 501): at most 500 rows")


def test_what_others_wrote_is_quoted_in_one_short_line() -> None:
    message = refusal('"two\nlines","' + "x" * 500 + '"\na,b\n')
    assert "'two\\nlines'" in message
    assert len(message) < 200


def test_parquet_is_refused_by_its_types_rows_and_bytes() -> None:
    message = "Column 'a' holds values of the type list<element: int64>: write them as text."
    assert refusal(as_parquet({"prompt": ["x"], "a": [[1]]}), "set.parquet") == message
    message = "Row 2, field 'a': NaN is not a value: write text, a number or null."
    assert refusal(as_parquet({"prompt": ["x", "y"], "a": [0.0, float("nan")]}), "set.parquet") == message
    not_text = pa.array([b"x", b"caf\xe9"]).cast(pa.string(), safe=False)
    message = "Row 2, field 'prompt': byte 0xE9 is not UTF-8: write the text as UTF-8."
    assert refusal(as_parquet({"prompt": not_text}), "set.parquet") == message
    message = "The file has 501 rows, at most 500 can be read: split the file."
    assert refusal(as_parquet({"prompt": ["x"] * 501}), "set.parquet") == message
    twice = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], ["prompt", "prompt"])
    sink = io.BytesIO()
    parquet.write_table(twice, sink)
    assert (
        refusal(sink.getvalue(), "set.parquet") == "The header, field 'prompt': it is there twice: rename one of them."
    )


def test_a_small_parquet_file_cannot_unfold_to_much() -> None:
    limits = Limits(max_bytes=100_000)
    plain = as_parquet(
        {"prompt": ["x" * 20_000 + str(i) for i in range(100)]}, compression="zstd", use_dictionary=False
    )
    message = refusal(plain, "set.parquet", limits)
    assert message.startswith("The file unfolds to 2,00")
    assert message.endswith("bytes, at most 1,000,000 can be read: split the file.")
    message = "The Parquet file unfolds to more than can be read: save it as CSV or JSONL."
    for length, kind in ((20_000, None), (20_000, pa.large_string()), (1_900_000, pa.large_string())):
        once = pa.DictionaryArray.from_arrays(pa.array([0] * 499), pa.array(["x" * length]))  # 499 times outside
        bomb = as_parquet({"prompt": once if kind is None else once.cast(kind)}, compression="zstd")
        assert len(bomb) < 20_000
        assert refusal(bomb, "set.parquet", Limits(max_bytes=200_000)) == message


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit of memory")
def test_the_reader_of_parquet_has_little_memory() -> None:
    take = f"from adapters.parquet import *; limit_memory(); bytearray(MEMORY // 2); bytearray({2 * MEMORY})"
    child = subprocess.run([sys.executable, "-c", take], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.stderr.endswith("MemoryError\n")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_the_reader_of_parquet_needs_no_limit_of_memory(platform: str) -> None:
    code = f"import sys; sys.platform = {platform!r}; sys.modules['resource'] = None; "
    code += "from adapters.parquet import limit_memory; limit_memory()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_parquet_is_read_the_same_in_a_process_of_its_own() -> None:
    data = as_parquet({"prompt": ["ü\n", None], "a": [1.5, None]})
    assert json.loads(parquet_rows(data, 500, 2_000_000)) == [["prompt", "a"], [["ü\n", 1.5], [None, None]]]


def test_a_file_that_kills_its_reader_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -ABRT $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    message = "The Parquet file breaks its reader: save it as CSV or JSONL."
    assert refusal(as_parquet({"prompt": ["x"]}), "set.parquet") == message


# Properties

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
shown = texts.filter(lambda text: bool(text.strip()))
names = texts.filter(lambda text: text not in ("", "prompt", "reference", "id"))


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, str]]:
    """Rows with the same columns."""
    tags = draw(st.lists(names, unique=True, max_size=3))
    rows = draw(st.lists(st.tuples(shown, texts, *(texts for _ in tags)), min_size=1, max_size=5))
    known = [{"id": f"{place}", "prompt": row[0], "reference": row[1]} for place, row in enumerate(rows)]
    return [first | dict(zip(tags, row[2:], strict=True)) for first, row in zip(known, rows, strict=True)]


def expected(rows: list[dict[str, str]]) -> tuple[Prompt, ...]:
    tags = [name for name in rows[0] if name not in ("prompt", "reference", "id")]
    return tuple(
        Prompt(row["prompt"], row["reference"] or None, row["id"], tuple((tag, row[tag]) for tag in tags))
        for row in rows
    )


def written(rows: list[dict[str, str]], delimiter: str, end: str) -> bytes:
    sink = io.StringIO(newline="")
    # QUOTE_MINIMAL misses a return at the end of a line
    writer = csv.DictWriter(sink, list(rows[0]), delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


@settings(max_examples=150, deadline=None)
@given(tables(), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read_back(rows: list[dict[str, str]], end: str) -> None:
    assert prompts(written(rows, ",", end)) == expected(rows)
    assert prompts(written(rows, "\t", end), "set.tsv") == expected(rows)
    for ascii_only in (True, False):
        lines = end.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
        assert prompts(lines, "set.jsonl") == expected(rows)


@settings(max_examples=100, deadline=None)
@given(tables())
def test_parquet_is_read_back(rows: list[dict[str, str]]) -> None:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), sink)
    found, values = read_table(sink.getvalue(), 500, 2_000_000)
    assert [dict(zip(found, row, strict=True)) for row in values] == rows


@settings(max_examples=100, deadline=None)
@given(st.lists(shown.filter(lambda text: "\n" not in text and not text.endswith("\r")), min_size=1, max_size=5))
def test_lines_are_read_back(lines: list[str]) -> None:
    assert [prompt.prompt for prompt in prompts("\ufeffx\n" + "\n".join(lines), "set.txt")] == ["x", *lines]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["set.csv", "set.tsv", "set.jsonl", "set.txt"]), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, name: str, header: bool) -> None:
    attempt((b"prompt\n" if header else b"") + data, name)


# Mutants


def originals() -> dict[str, bytes]:
    """A real file of every format."""
    sets = {name: read_prompts(file.read_bytes(), file.name) for name, file in shipped_sets().items()}
    rows = [{"prompt": p.prompt, "reference": p.reference or "", **dict(p.tags)} for p in sets["questions"].prompts]
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), sink, row_group_size=10)
    return {
        "set.csv": shipped_sets()["questions"].read_bytes(),
        "set.tsv": written(rows, "\t", "\r\n").decode().encode("utf-16"),
        "set.jsonl": shipped_sets()["story_openers"].read_bytes(),
        "set.txt": "\n".join(p.prompt for p in sets["essay_openers"].prompts).encode("utf-8-sig"),
        "set.parquet": sink.getvalue(),
    }


def mutate(data: bytes, others: list[bytes], source: random.Random) -> bytes:
    """The file with some bytes changed, a piece cut out, doubled or taken from another file."""
    mutant = bytearray(data)
    for _ in range(source.choice([1, 1, 2, 5])):
        start = source.randrange(len(mutant) + 1)
        end = min(len(mutant), start + source.choice([1, 4, 50, 1000]))
        other = source.choice(others)
        place = source.randrange(len(other))
        kind = source.randrange(4)
        if kind == 0 and end > start:
            mutant[start] = source.choice([0, 10, 13, 34, 44, 92, 123, 255, source.randrange(256)])
        elif kind == 1:
            del mutant[start:end]
        elif kind == 2:
            mutant[start:start] = mutant[start:end]
        else:
            mutant[start:end] = other[place : place + end - start]
    return bytes(mutant)


@pytest.mark.usefixtures("one_reader")
@pytest.mark.parametrize("name", ["set.csv", "set.tsv", "set.jsonl", "set.txt", "set.parquet"])
def test_mutated_uploads_are_read_or_refused(name: str) -> None:
    files, source = originals(), random.Random(name)
    found = [attempt(mutate(files[name], list(files.values()), source), name) for _ in range(MUTANTS)]
    refused = found.count(None)
    assert min(refused, MUTANTS - refused) > MUTANTS / 50  # both happen


# The sets that ship


def test_the_shipped_sets_are_whole() -> None:
    sets = {name: read_prompts(file.read_bytes(), file.name) for name, file in shipped_sets().items()}
    assert sorted(sets) == ["essay_openers", "neutral_openers", "questions", "story_openers"]
    for name, found in sets.items():
        assert found.name == name
        assert len(found.prompts) >= 20
        assert found.duplicates == 0
        assert all(prompt.tags for prompt in found.prompts)
        assert len({prompt.id for prompt in found.prompts}) in (1, len(found.prompts))
        assert all(prompt.prompt == prompt.prompt.strip() for prompt in found.prompts)


def test_the_shipped_questions_were_never_trained_on() -> None:
    file: Path = shipped_sets()["questions"]
    trained = {question(row["q"]).casefold() for row in read_rows(DATASETS["qa_facts"].file)}
    asked = [prompt.prompt for prompt in read_prompts(file.read_bytes(), file.name).prompts]
    assert all(prompt.startswith("Question: ") and prompt.endswith("?\nAnswer:") for prompt in asked)
    assert [prompt for prompt in asked if prompt.casefold() in trained] == []
    assert all(prompt.reference for prompt in read_prompts(file.read_bytes(), file.name).prompts)
