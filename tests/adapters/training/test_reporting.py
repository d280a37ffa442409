"""Reports to other tools: what they are told, in the calls that they document; whether they are installed or not."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.methods import UserError
from adapters.training.loop import TrainStep
from adapters.training.reporting import LIBRARIES, check_tools, report_to

STEPS = [TrainStep(1, 3.0, None, False, 10, 0.1), TrainStep(2, 2.0, 2.5, True, 20, 0.2)]


@pytest.mark.parametrize("tool", LIBRARIES)
def test_a_tool_that_is_not_installed_is_named(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[tool][0], None)
    with pytest.raises(UserError, match=f"{tool} is not installed: run `pip install {tool}`"):
        check_tools([tool])
    with pytest.raises(UserError, match="is not installed"), report_to([tool], tmp_path, {}):
        pass


def test_each_tool_is_told_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            calls.append(("folder", folder))

        def add_text(self, tag: str, text: str) -> None:
            calls.append(("text", text))

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            calls.append((tag, value, step))

        def close(self) -> None:
            calls.append(("close",))

    trackio = SimpleNamespace(
        init=lambda project, name, config: calls.append(("init", project, name)),
        log=lambda figures, step: calls.append(("log", figures, step)),
        finish=lambda: calls.append(("finish",)),
    )
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=SummaryWriter))
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    with report_to(["tensorboard", "trackio"], tmp_path / "verse", {"steps": 2}) as tell:
        for step in STEPS:
            tell(step)
    assert ("folder", str(tmp_path / "verse")) in calls
    assert ("train/loss", 3.0, 1) in calls
    assert [call for call in calls if call[0] == "eval/loss"] == [("eval/loss", 2.5, 2)]
    assert ("init", "steerboard", "verse") in calls
    assert ("log", {"train/loss": 2.0, "train/tokens": 20.0, "eval/loss": 2.5}, 2) in calls
    assert calls[-2:] == [("finish",), ("close",)]


def test_nothing_is_imported_that_nobody_asked_for(tmp_path: Path) -> None:
    with report_to([], tmp_path, {}) as tell:
        tell(STEPS[0])
    assert "trackio" not in sys.modules
