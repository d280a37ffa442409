"""What stands where a link is posted (title, text, picture), and on the page before Gradio's script has built it."""

import io
import re
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from string import ascii_lowercase
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.compare import words
from demo.compare.board import Board
from demo.compare.examples import EXAMPLES, Start
from demo.compare.figures import figures_html, legend_html
from demo.compare.panes import status_html
from demo.compare.record import Comparison
from demo.compare.shared import head_html as link_head_html
from demo.leaderboard.results.run_page import head_html as run_head_html
from demo.look.theme import COLORS, STYLE_SHEET, render
from demo.parts import words as common
from demo.parts.marked import head_html
from demo.parts.numbers import DEPARTS, PROMPT, TOPICS
from demo.parts.words import PURPOSE, TITLE, kinds, title
from demo.services import Services
from leaderboard.output.looks import style
from leaderboard.output.ranking import STYLE as BOARD_STYLE
from leaderboard.output.ranking import Board as RunBoard
from leaderboard.output.ranking import board_html
from leaderboard.records import Run

TEXT = re.compile(r'(<meta\s+(?:property="og|name="twitter):(title|description)"\s+content=")[^"]*')
BODY = re.compile(r"<body[^>]*>")
OTHERS = re.compile(r'<meta\s+(?:property="og:(?:image|url)"|name="twitter:(?:image|creator)")[^>]*>')
PICTURE = "/preview.png"
WIDTH, HEIGHT = 1200, 630  # pixels, as the places where links are posted show them
MARGIN, GAP, EDGE, PADDING = 44, 18, 8, 16
TOP, BOTTOM = 128, 566  # of the panes
MOST_PANES, MOST_LETTERS = 4, 2_000
PAPER, SHEET, INK, QUIET = "#f6f7f9", "#ffffff", "#18212f", "#566173"
CLASSES = {PROMPT: "prompt-text", DEPARTS: "departs"} | {mark: f"topic-{place}" for place, mark in enumerate(TOPICS)}


class Front(NamedTuple):
    """What a link shows: title, text and picture (made when it is asked for), and the HTML on the page at first."""

    title: str
    description: str
    body: str = ""
    picture: Callable[[], bytes] | None = None


class Fronts(BaseHTTPMiddleware):
    """Answers the page with the front of the link that asked for it, and its picture; everything else passes."""

    def __init__(self, app: ASGIApp, front: Callable[[QueryParams], Front]) -> None:
        super().__init__(app)
        self.front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"] in ("/", PICTURE)
        await (super().__call__ if ours else self.app)(scope, receive, send)

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        front = await run_in_threadpool(self.front, request.query_params)
        if request.scope["path"] == PICTURE:
            return await run_in_threadpool(pictured, front)
        answer: Any = await call_next(request)
        page = b"".join([part async for part in answer.body_iterator]).decode()
        del answer.headers["content-length"]
        return Response(fronted(page, front, picture_address(request)), answer.status_code, answer.headers)


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


def picture(name: str, board: Board) -> bytes:
    """A PNG of the first panes, under the title or the prompt of their comparison."""
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    large, middle, small = map(ImageFont.load_default, (40, 26, 22))
    draw.text((MARGIN, 40), lines(name, large, WIDTH - 2 * MARGIN)[0], INK, large)
    draw.text((MARGIN, BOTTOM + 20), f"{TITLE}. {PURPOSE}", QUIET, small)
    views = [view for _, view in sorted(board.panes.items())][:MOST_PANES]
    width = (WIDTH - 2 * MARGIN - GAP * (len(views) - 1)) // max(1, len(views))
    for place, view in enumerate(views):
        left = MARGIN + place * (width + GAP)
        draw.rectangle((left, TOP, left + width, BOTTOM), SHEET)
        draw.rectangle((left, TOP, left + width, TOP + EDGE), COLORS[kinds(view.method)[-1]])
        draw.text((left + PADDING, TOP + 24), lines(title(view.method), middle, width - 2 * PADDING)[0], INK, middle)
        text = "".join(piece for piece, mark in view.spans if mark != PROMPT)
        rows = lines(text, small, width - 2 * PADDING)
        for y, row in zip(range(TOP + 70, BOTTOM - 30, 30), rows, strict=False):
            draw.text((left + PADDING, y), row, INK, small)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The beginning of the text in lines of about this width."""
    letter = font.getlength(ascii_lowercase) / len(ascii_lowercase)
    return textwrap.wrap(text[:MOST_LETTERS].strip(), int(width / letter)) or [""]


def first_paint(services: Services, tabs: Sequence[str], opened: Comparison | Start) -> str:
    """A shared comparison, or the one that a fresh page opens on; empty if none ships for this base model."""
    board, start = opened.board, opened if isinstance(opened, Start) else None
    if board.record is None:
        return ""
    return painted(
        tabs,
        tabs[0],
        words=words,
        start=start,
        examples=EXAMPLES,
        link_head="" if isinstance(opened, Start) else link_head_html(opened),
        views=[view for _, view in sorted(board.panes.items())],
        head=lambda view: head_html(view.method, services),
        status=status_html,
        classes=mark_classes,
        legend=legend_html(board),
        figures=figures_html(board),
    )


def first_paint_of_run(tabs: Sequence[str], open: str, run: Run, board: RunBoard, ships: bool) -> str:
    """A run that was opened by its link."""
    return painted(tabs, open, link_head=run_head_html(run, True, ships), board=board_html(board))


def painted(tabs: Sequence[str], open: str, **parts: Any) -> str:
    styles = [style(), STYLE_SHEET.read_text(), BOARD_STYLE.read_text()]
    values = {"start": None, "board": "", "common": common, "tabs": tabs, "open": open, "styles": styles}
    return render("first_paint.html", **values | parts)


def mark_classes(mark: str | None) -> str:
    """The classes of a piece of text for its marks, which stand as "topic 1, departs".

    >>> mark_classes("topic 1, departs"), mark_classes(None)
    ('topic-0 departs', '')
    """
    return " ".join(CLASSES[one] for one in (mark or "").split(", ") if one)
