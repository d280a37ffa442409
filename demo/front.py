"""What the page shows before Gradio's script runs: our title and text where a link is posted, and first texts."""

import re
from collections.abc import Callable
from html import escape
from typing import NamedTuple

from starlette.datastructures import MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TEXT = re.compile(r'(<meta\s+(?:property="og|name="twitter):(title|description)"\s+content=")[^"]*')
BODY = re.compile(r"<body[^>]*>")
OTHERS = re.compile(r'<meta\s+(?:property="og:(?:image|url)"|name="twitter:(?:image|creator)")[^>]*>')


class Front(NamedTuple):
    """The title and the text of a link, and the HTML that stands on the page at first."""

    title: str
    description: str
    body: str = ""


class Fronts:
    """Answers the page with the front of the link that asked for it; everything else passes."""

    def __init__(self, app: ASGIApp, front: Callable[[QueryParams], Front]) -> None:
        self.app, self.front = app, front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        begun: list[Message] = []
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                page = fronted(body.decode(), self.front(QueryParams(scope["query_string"]))).encode()
                MutableHeaders(scope=begun[0])["content-length"] = str(len(page))
                await send(begun[0])
                await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, collect)


def fronted(page: str, front: Front) -> str:
    """The page with these texts in its preview tags, without the pictures of others, and with this at its beginning.

    >>> fronted('<meta property="og:title" content="Gradio" /><body>', Front("Ours & <more>", "", "<b>"))
    '<meta property="og:title" content="Ours &amp; &lt;more&gt;" /><body><b>'
    """
    texts = {name: escape(value) for name, value in front._asdict().items()}
    tagged = TEXT.sub(lambda tag: tag[1] + texts[tag[2]], OTHERS.sub("", page))
    return BODY.sub(lambda tag: tag[0] + front.body, tagged, count=1)
