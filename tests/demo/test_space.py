"""The check of a Space's files finds each fault, names it in a line, and finds none in this repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

from adapters.base_model import EMBEDDED_FILE, EMBEDDED_REPO
from demo import space
from tests.serving import ROOT

NAMES = ("README.md", "LICENSE", "requirements.txt", "app.py")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout of the files that the check reads."""
    for name in NAMES:
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def found(folder: Path) -> list[str]:
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    return space.faults(folder)


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), "utf-8")


def test_a_sound_repository_has_no_fault(repository: Path) -> None:
    assert found(repository) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing(repository: Path, name: str) -> None:
    (repository / name).unlink()
    (line,) = found(repository)
    assert name in line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sdk: gradio", "sdk: docker", "sdk is 'docker': set gradio."),
        ("sdk_version: ", "sdk_version: 1", "as requirements.txt."),
        ('python_version: "3.12"\n', "", "python_version is missing."),
        ('"3.12"', '"3.10"', "python_version is '3.10': set \"3.12\", in quotes."),
        ('"3.12"', "3.12", 'python_version is 3.12: set "3.12", in quotes.'),
        ("app_file: app.py", "app_file: main.py", "app_file is 'main.py': there is no such file."),
        ("short_description: ", f"short_description: {'x' * 60} ", "shorten to 60 characters."),
        ("zero-a10g", "a-gpu", "suggested_hardware is 'a-gpu': set one of cpu-basic,"),
        (EMBEDDED_FILE, "other.gguf", f"add {EMBEDDED_REPO} {EMBEDDED_FILE}"),
        (f"- {EMBEDDED_REPO}\n", "", f"models is ['HuggingFaceTB/SmolLM2-135M-Instruct']: add {EMBEDDED_REPO}."),
        ("license: apache-2.0\n", "", "license is missing."),
        ("tags:", "labels:", "tags is missing."),
        ("title: Steerboard", "title:", "title is missing."),
        ("title: Steerboard", "title: [", "its front matter cannot be read:"),
        ("title: Steerboard", "title: a: b", "its front matter cannot be read:"),
    ],
)
def test_a_fault_of_the_front_matter(repository: Path, old: str, new: str, said: str) -> None:
    edit(repository, "README.md", old, new)
    (line,) = found(repository)
    assert line.startswith("README.md: ")
    assert said in line
    assert "\n" not in line


def test_without_any_front_matter_every_field_is_missing(repository: Path) -> None:
    (repository / "README.md").write_text("# Steerboard\n", "utf-8")
    assert len(found(repository)) == 11
    assert all(line.endswith(" is missing.") for line in found(repository))


@pytest.mark.parametrize("requirement", ["spaces==0.51.3", "spaces", "Spaces>=0.50", "spaces[x]==1"])
def test_the_platform_brings_spaces(repository: Path, requirement: str) -> None:
    edit(repository, "requirements.txt", "gradio==", f"{requirement}\ngradio==")
    assert found(repository) == ["requirements.txt: remove spaces; the platform brings its own."]


def test_a_file_too_large_to_push(repository: Path) -> None:
    (repository / "weights.bin").write_bytes(bytes(12_000_000))
    assert found(repository) == ["weights.bin has 12 MB: 10 MB at most."]
    (repository / ".gitignore").write_text("weights.bin\n")
    subprocess.run(["git", "rm", "--quiet", "--cached", "weights.bin"], cwd=repository, check=True)
    assert found(repository) == []


def test_outside_a_checkout_nothing_is_there_to_push(repository: Path) -> None:
    shutil.rmtree(repository / ".git")
    assert space.faults(repository) == [f"{name} is missing in git." for name in space.FILES]


def test_the_exit_code_says_whether_there_are_faults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for lines, code, said in (([], 0, "This repository can be pushed to a Space."), (["a", "b"], 1, "a\nb")):
        monkeypatch.setattr(space, "faults", lambda root, lines=lines: lines)
        assert space.main(["check"]) == code
        assert capsys.readouterr().out == f"{said}\n"
    with pytest.raises(SystemExit):
        space.main([])
