"""Descriptions: rendered once, within bounds that are counted, and stored as HTML."""

import pytest
from django.core.management import call_command
from markdown_it.token import Token

from pipeline.models import Pipeline
from postings import markdown
from postings.descriptions import description_of, render_again
from postings.markdown import LARGEST, MOST_TOKENS, TooComplex, rendered, rendered_or_plain
from postings.models import Posting
from tests.api.conftest import NOTHING, rows, wrong
from tests.pages.conftest import publish  # noqa: F401 - a fixture

LENGTH = 20_000  # the longest description


def filled(text):
    return (text * (LENGTH // len(text) + 1))[:LENGTH]


TABLE = "|a" * 2000 + "\n" + "|-" * 2000 + "\n" + "|\n" * 3000
COMPLEX = {
    "a table of 2,000 columns": TABLE,
    "a table of 20 columns with 9,900 empty rows": "|a" * 20 + "\n" + "|-" * 20 + "\n" + "|\n" * 9900,
    "many tables": filled("a|b\n-|-\n1|2\n\n"),
    "a list of 5,000 letters": filled("- a\n"),
    "lists within lists": filled("- - - - - - - - - a\n"),
    "quotes": filled("> a\n\n"),
    "one address in 3,000 links": "[a]: " + "h" * 9000 + "\n\n" + "[a]" * 3600,
    "one title in 490 links": "[a]: b '" + "t" * 9000 + "'\n\n" + "[a]" * 490,
    "brackets that open": filled("["),
    "pictures that begin": filled("!["),
    "brackets and line ends": filled("[\n"),
    "brackets within brackets": "[" * 9_999 + "x" + "]" * 9_999,
    "emphasis within emphasis": "*" * 9_000 + "a" + "*" * 9_000,
    "emphasis that begins": filled("*a **b "),
    "strike-through": filled("a~~"),
    "backslashes": filled("\\\n"),
    "headings": filled("# a\n"),
    "lines": filled("a\n"),
    "lines that belong to a hundred quotes": "> " * 100 + "a\n" + "b\n" * 9_800,
    "lines that belong to twenty quotes and lists": "> - " * 10 + "a\n" + "b\n" * 2_000,
    "rules": filled("---\n"),
    "ampersands": filled("&"),
}
PLAIN = {
    "angle brackets": filled("<a "),
    "entities": filled("&amp;"),
    "quotes in a row": filled("> "),
    "backticks": " ".join("`" * length for length in range(1, 199)),
    "one long word": filled("x"),
    "one long line": filled("word "),
    "spaces": "a" + " " * 19_998 + "b",
    "colons": filled(":"),
    "many rules": "---\n" * 1_999,
    "an ordinary long text": filled("## What you do\n\n- You **build** [pipelines](https://example.com).\n" * 5 + "\n"),
    "an ordinary table": "| a | b | c |\n|---|---|---|\n" + "| one | two | three |\n" * 200,
}


@pytest.fixture
def made(monkeypatch):
    """How many tokens were made: what parsing costs."""
    count = []
    init = Token.__init__
    monkeypatch.setattr(Token, "__init__", lambda self, *given, **more: count.append(1) or init(self, *given, **more))
    return count


@pytest.mark.parametrize("name", COMPLEX)
def test_formatting_beyond_its_bounds_is_refused_at_its_field(post, fields, made, name):
    assert wrong(post(fields | {"description": COMPLEX[name]})) == {"description": "too_complex"}
    assert rows() == NOTHING
    assert len(made) <= MOST_TOKENS + 2


@pytest.mark.parametrize("name", PLAIN)
def test_a_long_description_within_the_bounds_is_taken(made, name):
    assert len(rendered(PLAIN[name])) <= LARGEST
    assert len(made) <= 2 * MOST_TOKENS


def test_a_text_that_became_too_complex_is_shown_as_it_was_typed():
    html = rendered_or_plain(TABLE + "<script>alert(1)</script>")
    assert html.startswith("<p>|a|a")
    assert "<script" not in html
    with pytest.raises(TooComplex):
        rendered(TABLE)


def test_a_page_shows_the_stored_html_and_renders_nothing(publish, client, monkeypatch):  # noqa: F811
    posting = publish(description="**x**", description_html="<p>stored</p>", description_version=markdown.VERSION)
    monkeypatch.setattr(markdown, "rendered", lambda _: 1 / 0)
    page = client.get(f"/jobs/{posting.slug}/").content.decode()
    assert "<p>stored</p>" in page
    assert "\\u003Cp\\u003Estored" in page, "the structured data too"


def test_what_another_version_made_is_rendered_by_the_page_and_then_by_the_command(publish, monkeypatch):  # noqa: F811
    postings = [publish(description=f"**{number}**") for number in range(3)]
    assert description_of(postings[0]) == "<p><strong>0</strong></p>\n"
    call_command("render_descriptions")
    postings[0].refresh_from_db()
    assert postings[0].description_html == "<p><strong>0</strong></p>\n"
    assert render_again() == 0
    monkeypatch.setattr(markdown, "VERSION", markdown.VERSION + 1)
    assert render_again() == 3
    assert set(Posting.objects.values_list("description_version", flat=True)) == {markdown.VERSION}


def test_the_description_that_was_submitted_is_kept_as_it_was(post, fields):
    made = post(fields | {"description": "**Somebody** who likes pipelines, please."}).json()
    assert Pipeline.objects.get(pk=made["id"]).input["description"] == "**Somebody** who likes pipelines, please."
