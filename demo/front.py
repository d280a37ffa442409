"""What stands where a link is posted (title, text, picture), and on the page before Gradio's script runs."""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TEXT = re.compile(r'(<meta\s+(?:property="og|name="twitter):(title|description)"\s+content=")[^"]*')
BODY = re.compile(r"<body[^>]*>")
OTHERS = re.compile(r'<meta\s+(?:property="og:(?:image|url)"|name="twitter:(?:image|creator)")[^>]*>')
PICTURE = "/preview.png"
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


class Front(NamedTuple):
    """What a link shows: title, text and picture (made when it is asked for), and the HTML on the page at first."""

    title: str
    description: str
    body: str = ""
    picture: Callable[[], bytes] | None = None


class Fronts:
    """Answers the page with the front of the link that asked for it, and its picture; everything else passes."""

    def __init__(self, app: ASGIApp, front: Callable[[QueryParams], Front]) -> None:
        self.app, self.front = app, front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in ("/", PICTURE):
            await self.app(scope, receive, send)
            return
        front = await run_in_threadpool(self.front, QueryParams(scope["query_string"]))
        if scope["path"] == PICTURE:
            await (await run_in_threadpool(pictured, front))(scope, receive, send)
            return
        begun: list[Message] = []
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                page = fronted(body.decode(), front, picture_address(Request(scope))).encode()
                MutableHeaders(scope=begun[0])["content-length"] = str(len(page))
                await send(begun[0])
                await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, collect)


def pictured(front: Front) -> Response:
    """The picture of a link; not found if it has none."""
    if front.picture is None:
        return Response(status_code=404)
    return Response(front.picture(), media_type="image/png", headers={"cache-control": "max-age=3600"})


def picture_address(request: Request) -> str:
    """The full address of the picture of the link that asked, as the visitor's side sees this server."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme).partition(",")[0]
    return str(request.url.replace(scheme=scheme, path=request.scope.get("root_path", "") + PICTURE))


def fronted(page: str, front: Front, picture: str) -> str:
    """The page with these texts and this picture in its preview tags, and with the front's HTML at its beginning.

    >>> fronted('<meta property="og:title" content="Gradio" /><body>', Front("Ours & <more>", "", "<b>"), "")
    '<meta property="og:title" content="Ours &amp; &lt;more&gt;" /><body><b>'
    """
    texts = {"title": escape(front.title), "description": escape(front.description)}
    tagged = TEXT.sub(lambda tag: tag[1] + texts[tag[2]], OTHERS.sub("", page))
    if front.picture is not None:
        names = ('property="og:image"', 'name="twitter:image"')
        tags = "".join(f'<meta {name} content="{escape(picture)}">' for name in names)
        tagged = tagged.replace("</head>", f"{tags}</head>", 1)
    return BODY.sub(lambda tag: tag[0] + front.body, tagged, count=1)
