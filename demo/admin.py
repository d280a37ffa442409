"""The operator's page: what runs, who waits, what lies on the disk; it deletes anything. The operator's token opens it.

The token is a field of every form and never a cookie, so that no other site can send a form in the operator's name. The
gate limits how often it can be tried.
"""

import hmac
import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.adapter_files import folder_bytes, read_owner
from adapters.methods import UserError
from demo.compare.shared import name_of
from demo.gate import ADMIN, Door
from demo.look.theme import render
from demo.parts.words import moment
from demo.services import Services

MOST = 200  # of each kind in the lists
CONTENT = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {"cache-control": "no-store", "content-security-policy": CONTENT}
Lines = Callable[[], list[tuple[str, int, int]]]  # name of each turn, events that run, events that wait


class Admin:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, services: Services, door: Door, lines: Lines) -> None:
        self.app, self.services, self.door, self.lines = app, services, door, lines
        self.deeds: Mapping[str, Callable[[str], object]] = {
            "Delete adapter": partial(services.library.delete, owner=None, operator=True),
            "Delete run": partial(services.database.delete_run, owner=None, operator=True),
            "Delete comparison": partial(services.database.delete_comparison, owner="", operator=True),
            "Delete training": services.trainer.forget,
            "Stop training": partial(services.trainer.stop, owner=None, operator=True),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != ADMIN:
            await self.app(scope, receive, send)
            return
        sent = (await Request(scope, receive).body()).decode("utf-8", "replace")
        answer = await run_in_threadpool(self._answer, dict(parse_qsl(sent)))
        await answer(scope, receive, send)

    def _answer(self, sent: Mapping[str, str]) -> Response:
        if self.door.admin is None:
            return PlainTextResponse("Not found", 404)
        if not sent:
            return page()
        if not hmac.compare_digest(sent.get("token", "").encode(), self.door.admin.encode()):
            return page(403, "This is not the token that STEERBOARD_ADMIN_TOKEN holds.")
        notice, shared = self._do(sent.get("deed", ""), sent.get("id", "")), self.services.engine.shared
        counts = sum(len(call.rows) for call in list(shared.running)), len(shared.line)
        shown: dict[str, Any] = {"token": self.door.admin, "counts": counts, "lines": self.lines()}
        return page(200, notice, shown | {"disk": disk(self.door.home)} | self._rows())

    def _do(self, deed: str, id: str) -> str:
        """Do what a button says, and say so."""
        if deed not in self.deeds:
            return ""
        try:
            done = self.deeds[deed](id)
        except UserError as error:
            return str(error)
        return "It is gone already." if done is False else f"{deed}: done."

    def _rows(self) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
        """What can be deleted, by kind: its id, and what is shown of it."""
        jobs, runs = self.services.trainer.jobs(), self.services.database.runs(None, operator=True)[:MOST]
        kept = self.services.database.comparisons("", MOST, operator=True)
        folders = sorted((self.door.home / "adapters").glob("[!.]*/"))
        return {
            "adapters": [(f.name, (f.name, f"{folder_bytes(f) / 1e6:.1f}", whose(read_owner(f)))) for f in folders],
            "trainings": [(j.id, (j.order.name, j.now.state, j.now.message, whose(j.owner))) for j in jobs],
            "runs": [(run.id, (moment(run.created), run.name, run.status, whose(run.owner))) for run in runs],
            "comparisons": [(id, (moment(made), name_of(record)[:MOST])) for id, made, record in kept],
        }


def page(status: int = 200, notice: str = "", shown: Mapping[str, Any] | None = None) -> Response:
    """The page, or only the form that asks for the token."""
    return HTMLResponse(render("admin.html", **{"token": "", "notice": notice} | dict(shown or {})), status, HEADERS)


def whose(owner: str | None) -> str:
    return owner[:12] if owner else "command line"  # enough to see what has the same owner


def disk(home: Path) -> list[tuple[str, float]]:
    """Megabytes of each folder of the home, the largest first; links are not followed."""
    sizes: Counter[str] = Counter()
    for folder, _, files in os.walk(home):
        top = next(iter(Path(folder).relative_to(home).parts), "other files")
        for file in files:
            with suppress(OSError):  # it is gone meanwhile
                sizes[top] += os.lstat(Path(folder, file)).st_size
    return [(name, size / 1e6) for name, size in sizes.most_common()]
