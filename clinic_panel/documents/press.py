"""From templates to PDF without a network: a press for each kind of document, built once.

WeasyPrint takes most of a second to import, so it is loaded when the first document is printed and
only in the process that prints.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import PackageLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clinic_panel.documents import text

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

_PRINTING = threading.Lock()  # Pango's font map is shared by whoever prints


class Press:
    """Templates, style and fonts of one kind of document."""

    def __init__(self, style: str, **filters: Callable[..., Any]) -> None:
        """Set up.

        Parameters
        ----------
        style
            Name of the style sheet among the templates.
        filters
            What the templates may call, beside ``plain`` and ``direction``.
        """
        from weasyprint import CSS
        from weasyprint.text.fonts import FontConfiguration

        self._environment = ImmutableSandboxedEnvironment(
            loader=PackageLoader("clinic_panel.documents", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(plain=text.plain, direction=text.direction, **filters)
        # What is the same for every document is parsed once; that is half the time of a short one.
        self._fonts = FontConfiguration()
        self._fetcher = _fetcher()
        sheet = files("clinic_panel.documents").joinpath(f"templates/{style}")
        self._style = CSS(
            string=sheet.read_text(encoding="utf-8"),
            font_config=self._fonts,
            url_fetcher=self._fetcher,
        )

    def template(self, name: str) -> Template:
        """Return a template, parsed."""
        return self._environment.get_template(name)

    def print(self, html: str, pictures: Mapping[str, bytes], **options: Any) -> bytes:
        """Return a page's PDF.

        Parameters
        ----------
        pictures
            PNG, JPEG or our own SVG by ``memory:`` address; every other address is refused.
        options
            Of WeasyPrint's ``write_pdf``.

        Raises
        ------
        ValueError
            The page asks for an address outside itself.
        """
        from weasyprint import HTML
        from weasyprint.urls import FatalURLFetchingError

        with _PRINTING:
            self._fetcher.pictures = pictures
            try:
                made: bytes = HTML(string=html, url_fetcher=self._fetcher).write_pdf(
                    stylesheets=[self._style], font_config=self._fonts, **options
                )
            except FatalURLFetchingError:
                # Its message quotes the address.
                raise ValueError("a document asked for an address outside itself") from None
            finally:
                self._fetcher.pictures = {}
        return made


def _fetcher() -> Any:
    """Return what WeasyPrint asks for bytes: ``pictures``, or a refusal that fails the document."""
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class InMemory(URLFetcher):
        def __init__(self) -> None:
            super().__init__(
                allowed_protocols=("memory",), allow_redirects=False, fail_on_errors=True
            )
            self.pictures: Mapping[str, bytes] = {}

        def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:
            if url not in self.pictures:
                raise ValueError("outside the document")
            data = self.pictures[url]
            return URLFetcherResponse(url, data, {"Content-Type": _media_type(data)})

    return InMemory()


def _media_type(data: bytes) -> str:
    if data.startswith(PNG_SIGNATURE):
        return "image/png"
    return "image/jpeg" if data.startswith(JPEG_SIGNATURE) else "image/svg+xml"
