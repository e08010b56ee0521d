"""A posting's description: Markdown to HTML that cannot run anything, by an allow-list of what a job text needs."""

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any, Final

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

_TAGS: Final = frozenset(
    {"a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"}
    | {"strong", "table", "tbody", "td", "th", "thead", "tr", "ul"}
)
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES: Final = frozenset({"https", "http", "mailto", "tel"})
# The page has the one h1: a description's headings begin below it.
_LOWER: Final = {"h1": "h2", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6"}


def rendered(text: str) -> SafeString:
    """Sanitised HTML of the Markdown. Raw HTML in it is shown as text, images become their description."""
    tokens = _parser().parse(text)
    for token in tokens:
        if token.type.startswith("heading_"):
            token.tag = _LOWER.get(token.tag, token.tag)
    parser = _parser()
    html = parser.renderer.render(tokens, parser.options, {})
    # The sanitiser has the last word, whatever the renderer made.
    return mark_safe(  # noqa: S308  # nosec B308, B703 # cleaned here
        nh3.clean(
            html,
            tags=set(_TAGS),
            attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
            url_schemes=set(_SCHEMES),
            link_rel="nofollow noopener noreferrer ugc",
        )
    )


@cache
def _parser() -> MarkdownIt:
    """Commonmark with tables and strike-through; raw HTML is escaped, nesting is bounded by the parser (20)."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _description)
    return parser


def _description(
    _renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: MutableMapping[str, Any]
) -> str:
    """An image from elsewhere would tell its host who reads the posting: its description stands for it."""
    return escapeHtml(tokens[index].content)
