"""What a link to this app shows where it is posted: our title and text in the tags that Gradio's page comes with.

Knows HTML and ASGI; knows nothing of Gradio.
"""

import re
from collections.abc import Callable
from html import escape
from typing import NamedTuple

from starlette.datastructures import MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TEXT = re.compile(r'(<meta\s+(?:property="og|name="twitter):(title|description)"\s+content=")[^"]*')
OTHERS = re.compile(r'<meta\s+(?:property="og:(?:image|url)"|name="twitter:(?:image|creator)")[^>]*>')


class Preview(NamedTuple):
    """The title and the text of a link."""

    title: str
    description: str


class PreviewTags:
    """Answers the page with the preview of the link that asked for it; everything else passes."""

    def __init__(self, app: ASGIApp, preview: Callable[[QueryParams], Preview]) -> None:
        self.app, self.preview = app, preview

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
                page = tagged(body.decode(), self.preview(QueryParams(scope["query_string"]))).encode()
                MutableHeaders(scope=begun[0])["content-length"] = str(len(page))
                await send(begun[0])
                await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, collect)


def tagged(page: str, preview: Preview) -> str:
    """The page with these texts in its preview tags, and without the pictures of others.

    >>> tagged('<meta property="og:title" content="Gradio" />', Preview("Ours & <more>", ""))
    '<meta property="og:title" content="Ours &amp; &lt;more&gt;" />'
    """
    texts = {name: escape(value) for name, value in preview._asdict().items()}
    return TEXT.sub(lambda tag: tag[1] + texts[tag[2]], OTHERS.sub("", page))
