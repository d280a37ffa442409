"""The Dockerfile, read without Docker: what it copies is there, no root, no secret, the Python of the Space."""

import re
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import SpaceCard

from app import Settings
from tests.source_tree import ROOT, packages, read, sources, tracked

INSTRUCTION = re.compile(r"^([A-Z]+)\s+(.*)$")


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each line, continued lines joined."""
    text = read("Dockerfile").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = [INSTRUCTION.match(line) for line in lines]
    assert None not in found
    return [(match[1], match[2]) for match in found if match]


def arguments(name: str) -> list[str]:
    return [said for instruction, said in instructions() if instruction == name]


def copied() -> list[str]:
    return [source for said in arguments("COPY") for source in said.split()[:-1]]


def test_it_has_the_python_of_the_space() -> None:
    version = SpaceCard.load(ROOT / "README.md").data.python_version
    assert arguments("FROM") == [f"python:{version}-slim"]


def test_it_copies_what_the_app_imports_and_nothing_that_is_not_in_git() -> None:
    for source in copied():
        assert source in tracked() or any(path.startswith(f"{source}/") for path in tracked()), source
    own = {Path(path).parts[0].removesuffix(".py") for path in sources()}
    app = {package for path in sources() for package in packages(path)} & own
    assert app <= {source.removesuffix(".py") for source in copied()}


def test_the_ignored_files_are_all_but_those_copied() -> None:
    lines = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(copied())
    assert any(fnmatch("demo/.env", line) for line in lines if not line.startswith("!"))


def test_it_runs_as_a_user_who_owns_the_home_only() -> None:
    names = [name for name, _ in instructions()]
    (user,) = arguments("USER")
    assert user.isdigit()
    assert int(user) > 0
    assert f"--uid {user} " in " ".join(arguments("RUN"))
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in ("RUN", "COPY"))
    assert not any("--chown" in said or "chown" in said for _, said in instructions())


def test_its_home_is_a_volume_and_its_health_is_asked_for() -> None:
    variables = dict(each.split("=", 1) for said in arguments("ENV") for each in said.split())
    assert arguments("VOLUME") == [variables["STEERBOARD_HOME"]]
    assert variables["STEERBOARD_HOST"] == "0.0.0.0"
    port = str(Settings(None, Path(), "").port)
    assert arguments("EXPOSE") == [port]
    (health,) = arguments("HEALTHCHECK")
    assert f"http://127.0.0.1:{port}/" in health
    assert arguments("CMD") == ['["python", "app.py"]'], "no shell that would keep SIGTERM to itself"


def test_it_holds_no_secret_and_the_build_chooses_where_torch_is_from() -> None:
    assert not re.search(r"(?i:token|secret|password)|hf_", read("Dockerfile"))
    (torch,) = arguments("ARG")
    name, _, default = torch.partition("=")
    assert default.endswith("/cpu")
    assert f'--extra-index-url "${name}"' in " ".join(arguments("RUN"))
