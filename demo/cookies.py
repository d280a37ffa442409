"""Who asks: a signed cookie, or the address where none came; and the network, which a new cookie does not change."""

import hmac
import secrets
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

from gradio.context import LocalContext
from starlette.requests import Request

from adapters.adapter_files import new_file
from adapters.decoding.visitors import Visitor

COOKIE, KEY_FILE = "steerboard", "cookies.key"
ADDRESS, NETWORK = (32, 64), (24, 48)  # bits of IPv4 and IPv6; both networks hold some 256 households


def asking() -> Visitor | None:
    """The visitor for whom an event of the page runs, as the gate has noted; None outside of events."""
    request = LocalContext.request.get(None)
    return None if request is None else getattr(request.state, "visitor", None)


def find_visitor(request: Request, key: bytes, proxies: int) -> Visitor:
    id, _, signature = request.cookies.get(COOKIE, "").partition(".")
    known = bool(key) and hmac.compare_digest(signature.encode(), sign(id, key).encode())
    return Visitor(id if known else address(request, proxies), address(request, proxies, NETWORK), known)


def new_cookie(key: bytes, framed: bool) -> str:
    """The header that makes a browser a visitor until it is closed; `framed`: within a page of another site."""
    id = secrets.token_hex(16)
    where = "SameSite=None; Secure; Partitioned" if framed else "SameSite=Lax"
    return f"{COOKIE}={id}.{sign(id, key)}; Path=/; HttpOnly; {where}"


def sign(id: str, key: bytes) -> str:
    return hmac.new(key, id.encode(), "sha256").hexdigest()


def read_key(home: Path) -> bytes:
    """The key that cookies are signed with; made at the first start."""
    file = home / KEY_FILE
    if not file.is_file():
        with new_file(file) as scratch:
            scratch.touch(0o600)
            scratch.write_bytes(secrets.token_bytes(32))
    return file.read_bytes()


def address(request: Request, proxies: int, bits: tuple[int, int] = ADDRESS) -> str:
    """The first bits of the address of whoever asks, beyond the proxies that are ours; empty where none is known."""
    told = [hop.strip() for hop in ",".join(request.headers.getlist("x-forwarded-for")).split(",") if hop.strip()]
    hops = [*told, request.client.host if request.client else ""]
    try:
        parsed = ip_address(hops[-1 - min(proxies, len(told))])
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):  # a server that listens on both kinds is told of IPv4 in this way
        parsed = parsed.ipv4_mapped or parsed
    return str(ip_network((parsed, bits[parsed.version == 6]), strict=False))
