"""Pages that load nothing: remote references are removed, and a policy makes the browser refuse others."""

from __future__ import annotations

import re
from html.parser import HTMLParser

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'unsafe-inline' 'unsafe-eval' data: blob:",
        "style-src 'unsafe-inline' data: blob:",
        *(f"{kind}-src data: blob:" for kind in ("img", "font", "media", "connect", "frame", "worker")),
        "form-action 'none'",
    ]
)
"""For Allure's page, which holds everything that it needs."""

_REMOTE = r"""\s(?:src|href)\s*=\s*["']?\s*(?:https?:|wss?:|ftp:)?//[^>]*"""
_REMOTE_SCRIPT = re.compile(rf"<script\b[^>]{{0,400}}?{_REMOTE}>\s*</script>\s*", re.IGNORECASE)
_REMOTE_LINK = re.compile(rf"<link\b[^>]{{0,400}}?{_REMOTE}>\s*", re.IGNORECASE)
_ANALYTICS = re.compile(r"<script>\s*window\.dataLayer\b.{0,2000}?</script>\s*", re.IGNORECASE | re.DOTALL)
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_LOADING = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "frame": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "input": ("src",),
    "base": ("href",),
    "form": ("action",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
_ADDRESS = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


def offline(html: str) -> str:
    """Remove remote references and Google's analytics from a page, and add a policy against both."""
    for unwanted in (_REMOTE_SCRIPT, _ANALYTICS, _REMOTE_LINK):
        html = unwanted.sub("", html)
    policy = f'\n    <meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    return _HEAD.sub(lambda head: head[0] + policy, html, count=1)


def loads(html: str) -> list[str]:
    """List what a page would load when it is opened, and its analytics; empty if it loads nothing."""
    found = _Finder()
    found.feed(html)
    found.close()
    return found.addresses


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self._in: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag if tag in ("script", "style") else None
        said = dict(attrs)
        for name in _LOADING.get(tag, ()):
            if _ADDRESS.match(said.get(name) or ""):
                self.addresses.append(f"<{tag} {name}={said[name]}>")
        refresh = tag == "meta" and (said.get("http-equiv") or "").lower() == "refresh"
        if refresh and "url=" in (said.get("content") or "").lower():
            self.addresses.append(f"<meta refresh {said['content']}>")

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in == "script" and ("googletagmanager" in data or "gtag(" in data):
            self.addresses.append("<script> with Google's tag")
        if self._in == "style" and re.search(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//", data):
            self.addresses.append("<style> that loads from elsewhere")
