"""A posting's description: Markdown to HTML that cannot run anything, by an allow-list of tags and attributes.

The work is bounded by counting, before and while it is done: few characters of Markdown can make a large page (a
table's missing cells are filled in, a link's address is repeated wherever it is referred to).
"""

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any, Final

import nh3
from django.utils.html import linebreaks
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

# Raise it with every change of the rendered HTML, and run `manage.py render_descriptions`.
VERSION: Final = 1
MOST_TOKENS: Final = 10_000  # blocks and pieces of lines; a dense text of 20,000 characters has about 4,000
MOST_LINES: Final = 2_000  # each is looked at once for every quote and list that it may belong to
MOST_BRACKETS: Final = 400  # each "[" may begin a link, and is looked at up to the end of its block
LARGEST: Final = 100_000  # characters of HTML

_TAGS: Final = frozenset(
    {"a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s"}
    | {"strong", "table", "tbody", "td", "th", "thead", "tr", "ul"}
)
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES: Final = frozenset({"https", "http", "mailto", "tel"})
# The page has the one h1: a description's headings begin below it.
_LOWER: Final = {"h1": "h2", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6"}


class TooComplex(ValueError):
    """The text has more structure than a job's description needs, or would become too large a page."""


class _Budget(list[Token]):
    """The tokens of one text; TooComplex beyond the most that there may be."""

    def __init__(self, left: int = MOST_TOKENS) -> None:
        super().__init__()
        self._most = left

    def append(self, token: Token) -> None:
        if len(self) >= self._most:
            raise TooComplex
        super().append(token)


def rendered(text: str) -> SafeString:
    """Sanitised HTML of the Markdown; TooComplex. Raw HTML is shown as text, images become their description."""
    if text.count("\n") >= MOST_LINES or text.count("[") > MOST_BRACKETS:
        raise TooComplex
    tokens = _parser().parse(text)
    for token in tokens:
        if token.type.startswith("heading_"):
            token.tag = _LOWER.get(token.tag, token.tag)
    if _size(tokens) > LARGEST:
        raise TooComplex
    parser = _parser()
    # The sanitiser has the last word, whatever the renderer made.
    html = nh3.clean(
        parser.renderer.render(tokens, parser.options, {}),
        tags=set(_TAGS),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        url_schemes=set(_SCHEMES),
        link_rel="nofollow noopener noreferrer ugc",
    )
    if len(html) > LARGEST:
        raise TooComplex
    return mark_safe(html)  # noqa: S308  # nosec B308, B703 # cleaned above


def rendered_or_plain(text: str) -> SafeString:
    """HTML of any stored text: one that is too complex is shown as it was typed."""
    try:
        return rendered(text)
    except TooComplex:
        return mark_safe(linebreaks(text, autoescape=True))  # noqa: S308  # nosec B308, B703 # escaped


@cache
def _parser() -> MarkdownIt:
    """Commonmark with tables and strike-through; raw HTML is escaped, nesting is bounded by the parser (20)."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _description)
    parser.core.ruler.at("block", _blocks)
    parser.core.ruler.at("inline", _lines)
    return parser


def _blocks(state: StateCore) -> None:
    """The parser's own rule, with its tokens counted."""
    state.tokens = _Budget()
    state.md.block.parse(state.src, state.md, state.env, state.tokens)


def _lines(state: StateCore) -> None:
    """The parser's own rule for the text within blocks, with its tokens counted too."""
    left = MOST_TOKENS - len(state.tokens)
    for token in state.tokens:
        if token.type == "inline":
            token.children = _Budget(left)
            state.md.inline.parse(token.content, state.md, state.env, token.children)
            left -= len(token.children)


def _size(tokens: Sequence[Token]) -> int:
    """Characters that the tokens put on the page at least: texts, and the addresses and titles of links."""
    own = sum(
        len(token.content) * (token.type != "inline") + sum(len(str(value)) for value in token.attrs.values())
        for token in tokens
    )
    return own + sum(_size(token.children) for token in tokens if token.children)


def _description(
    _renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: MutableMapping[str, Any]
) -> str:
    """An image from elsewhere would tell its host who reads the posting: its description stands for it."""
    return escapeHtml(tokens[index].content)
