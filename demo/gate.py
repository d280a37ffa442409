"""What a request must pass before Gradio sees it: size, pace, origin, and what its visitor has left of an hour."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.decoding.visitors import DISK, UPLOADS, Allowance, Visitor
from adapters.methods import UserError
from demo.cookies import address, find_visitor, new_cookie

MAX_BODY = 8_000_000  # bytes of anything that is no upload
FRAME = 100_000  # bytes of an upload around its file
IDLE_SECONDS = 30  # between two parts of a body
# Routes of Gradio that nothing here uses.
HIDDEN = re.compile(
    r"(/gradio_api)?/(openapi\.json|docs|redoc|monitoring|deep_link|proxy=|process_recording|vibe-|undo-vibe-|run-history|dev/)"
)
UPLOAD, ADMIN = "/gradio_api/upload", "/admin"
PACES = {UPLOAD: 60, ADMIN: 30, "/gradio_api/": 3_000}  # requests a minute from one address: a class may share one
LOCAL = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "content-security-policy": "frame-ancestors 'self' https://huggingface.co https://*.hf.space; object-src 'none'",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "same-origin",  # a link to a comparison is not told to others
    "x-content-type-options": "nosniff",
}


class Door(NamedTuple):
    """What the operator sets."""

    max_upload: int = MAX_BODY  # bytes of a file
    proxies: int = 0  # in front of the app, each of which adds the address that it sees
    key: bytes = b""  # that cookies are signed with
    framed: bool = False  # the page stands within one of another site
    admin: str | None = None  # the operator's token; None: no admin page
    home: Path = Path()  # whose files the admin page counts


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, door: Door, allowance: Allowance, paces: Mapping[str, int] = PACES) -> None:
        self.app, self.door, self.allowance = app, door, allowance
        self.paces: dict[str, RateLimitItem] = {path: RateLimitItemPerMinute(most) for path, most in paces.items()}
        self.seen = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        visitor = request.state.visitor = find_visitor(request, self.door.key, self.door.proxies)
        is_new = scope["path"] == "/" and bool(self.allowance.hourly) and not visitor.cookie

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                guard_headers(headers, request.headers)
                if is_new:
                    headers.append("set-cookie", new_cookie(self.door.key, self.door.framed))
            await send(message)

        refusal = self._refuse(request, visitor)
        answer = self.app if refusal is None else refusal
        await answer(scope, bounded(receive, self._most(scope["path"])), guarded)

    def _most(self, path: str) -> int:
        return self.door.max_upload + FRAME if path.startswith(UPLOAD) else MAX_BODY

    def _refuse(self, request: Request, visitor: Visitor) -> Response | None:
        """The answer to a request that may not pass."""
        path, is_upload = request.url.path, request.method == "POST" and request.url.path.startswith(UPLOAD)
        length = request.headers.get("content-length", str(self._most(path)) if is_upload else "0")
        if HIDDEN.match(path):
            return PlainTextResponse("Not found", 404)
        if not length.isdigit() or int(length) > self._most(path):
            return PlainTextResponse(too_large(self._most(path)), 413)
        if request.method == "POST" and not own(request.headers):
            return PlainTextResponse("Requests from other sites are refused: open this page itself.", 403)
        pace = next((name for name in self.paces if path.startswith(name)), None)
        if pace and not self.seen.hit(self.paces[pace], pace, address(request, self.door.proxies)):
            return PlainTextResponse("Too many requests: wait a minute.", 429, {"retry-after": "60"})
        if not is_upload:
            return None
        spend = self.allowance.spend
        try:
            with spend(UPLOADS, 1, visitor), spend(DISK, int(length), visitor):
                return None
        except UserError as error:
            return PlainTextResponse(str(error), 429)


def too_large(most: int) -> str:
    return f"This is larger than {most / 1e6:.0f} MB: send less."


def bounded(receive: Receive, most: int) -> Receive:
    """The body, as long as it is not too large and keeps coming; else an HTTPException in whatever reads it."""
    left, whole = most, False

    async def part() -> Message:
        nonlocal left, whole
        try:
            message = await asyncio.wait_for(receive(), None if whole else IDLE_SECONDS)
        except TimeoutError as error:
            raise HTTPException(408, "The upload stalled: send it again.") from error
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            whole = not message.get("more_body")
            if left < 0:
                raise HTTPException(413, too_large(most))
        return message

    return part


def own(headers: Headers) -> bool:
    """Whether a request comes from our own page, or from no page; another page must not use a local app."""
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    origin = headers.get("origin")
    return origin is None or host not in LOCAL or urlsplit(origin).hostname in LOCAL


def guard_headers(answer: MutableHeaders, asked: Headers) -> None:
    """Ours, and none that lets a foreign page read an answer as if it were the visitor."""
    for name in ("access-control-allow-origin", "access-control-allow-credentials"):
        if name in answer and urlsplit(asked.get("origin", "")).netloc != asked.get("host"):
            del answer[name]
    for name, value in HEADERS.items():
        answer.setdefault(name, value)
