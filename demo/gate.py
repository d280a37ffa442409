"""What a request must pass before Gradio sees it: its size, its pace, where it comes from; and what answers carry."""

import asyncio
import re
from collections.abc import Mapping
from ipaddress import ip_network
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

MAX_BODY = 8_000_000  # bytes of anything that is no upload
FRAME = 100_000  # bytes of an upload around its file
IDLE_SECONDS = 30  # between two parts of a body
# Routes of Gradio that nothing here uses.
HIDDEN = re.compile(
    r"(/gradio_api)?/(openapi\.json|docs|redoc|monitoring|deep_link|proxy=|process_recording|vibe-|undo-vibe-|run-history|dev/)"
)
UPLOAD = "/gradio_api/upload"
PACES = {UPLOAD: 60, "/gradio_api/": 3_000}  # requests a minute from one address: a class may share one
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


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, door: Door, paces: Mapping[str, int] = PACES) -> None:
        self.app, self.door = app, door
        self.paces: dict[str, RateLimitItem] = {path: RateLimitItemPerMinute(most) for path, most in paces.items()}
        self.seen = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                guard_headers(MutableHeaders(scope=message), request.headers)
            await send(message)

        refusal = self._refuse(request)
        answer = self.app if refusal is None else refusal
        await answer(scope, bounded(receive, self._most(scope["path"])), guarded)

    def _most(self, path: str) -> int:
        return self.door.max_upload + FRAME if path.startswith(UPLOAD) else MAX_BODY

    def _refuse(self, request: Request) -> Response | None:
        """The answer to a request that may not pass."""
        path, length = request.url.path, request.headers.get("content-length", "0")
        if HIDDEN.match(path):
            return PlainTextResponse("Not found", 404)
        if not length.isdigit() or int(length) > self._most(path):
            return PlainTextResponse(too_large(self._most(path)), 413)
        if request.method == "POST" and not own(request.headers):
            return PlainTextResponse("Requests from other sites are refused: open this page itself.", 403)
        pace = next((name for name in self.paces if path.startswith(name)), None)
        if pace is None or self.seen.hit(self.paces[pace], pace, visitor(request, self.door.proxies)):
            return None
        return PlainTextResponse("Too many requests: wait a minute.", 429, {"retry-after": "60"})


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


def visitor(request: Request, proxies: int) -> str:
    """The network of whoever asks: the address, or 64 bits of it where a household has so many."""
    told = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    hops = [*told, request.client.host if request.client else ""]
    address = hops[-1 - min(proxies, len(told))]
    try:
        return str(ip_network((address, 64 if ":" in address else 32), strict=False))
    except ValueError:
        return ""
