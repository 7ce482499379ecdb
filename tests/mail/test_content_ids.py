"""Picture references are found only where mail programs look for them."""

from __future__ import annotations

import html
import time
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail.warnings import missing_content_ids

MEGABYTE = 1_000_000


def missing(text: str, *content_ids: str) -> tuple[str, ...]:
    return missing_content_ids(text, content_ids)


@pytest.mark.parametrize(
    "text",
    [
        '<img src="cid:chart1">',
        "<IMG SRC='CID:chart1'/>",
        "<img src=cid:chart1>",
        '<img\nalt="a > b"\nsrc = " cid:chart1 ">',
        '<img src="cid:ch%61rt1">',
        '<img src="&#99;id:chart1">',
        '<img src="cid&colon;chart1">',
        '<v:imagedata src="cid:chart1"/>',
        '<img srcset="cid:chart1 1x">',
        '<img srcset="https://a.de/b.png 1x, cid:chart1 2x">',
        '<img srcset="https://a.de/b.png, cid:chart1">',
        '<td background="cid:chart1">',
        '<td style="background: url(cid:chart1)">',
        "<td style='background: URL( \"cid:chart1\" )'>",
        '<td style="background: url(&quot;cid:chart1&quot;)">',
        "<style>td { background: url('cid:chart1') }</style>",
        "<style>/* a */ td { background: url(cid:chart1) } </style>",
        "<!-- a --><img src='cid:chart1'>",
        "<!--><img src='cid:chart1'>-->",
        "<title>a</title><img src='cid:chart1'>",
        "a < b <img src='cid:chart1'>",
        "<p title='<'><img src='cid:chart1'>",
    ],
)
def test_a_reference_without_its_file_is_found(text: str) -> None:
    assert missing(text) == ("chart1",)
    assert missing(text, "other") == ("chart1",)
    assert missing(text, "chart1") == ()


@pytest.mark.parametrize(
    "text",
    [
        "<p>Write cid:chart1 into the text</p>",
        '<!-- <img src="cid:chart1"> -->',
        '<!-- <img src="cid:chart1">',
        '<!doctype cid:chart1><?xml src="cid:chart1"?>',
        '</img src="cid:chart1">',
        '<a href="cid:chart1">',
        '<img alt="cid:chart1" data-src="cid:chart1">',
        '<img alt="src=cid:chart1">',
        '<img src="https://a.de/cid:chart1">',
        '<img src="cid:">',
        '<img src="cid:chart1"',
        '<img src="a.png" src="cid:chart1">',
        '<textarea><img src="cid:chart1"></textarea>',
        '<title><img src="cid:chart1"></title>',
        "<script>var a = '<img src=\"cid:chart1\">'</script>",
        "<style>/* url(cid:chart1) */</style>",
        '<style>td { content: "url(cid:chart1)" }</style>',
        "<td style=\"content: 'url(cid:chart1)'\">",
        "<style>td { background: my-url(cid:chart1) }</style>",
        "<p>url(cid:chart1)</p>",
        "<img src='&#" + "9" * 5000 + ";cid:chart1'>",
        "nothing at all",
    ],
)
def test_what_is_no_reference_is_not_taken_for_one(text: str) -> None:
    assert missing(text) == ()


def test_names_are_unique_in_order_and_limited_in_number() -> None:
    text = "".join(f'<img src="cid:c{number}"><img src="cid:c{number}">' for number in range(30))

    assert missing(text, "c0") == tuple(f"c{number}" for number in range(1, 11))


def test_a_name_is_shown_on_one_line_and_cut() -> None:
    assert missing(f'<img src="cid:a%0Ab%E2%80%AE{"c" * 200}">') == (f"a�b�{'c' * 96}…",)


def test_content_ids_are_compared_to_the_letter() -> None:
    assert missing('<img src="cid:Chart1">', "chart1") == ("Chart1",)
    assert missing('<img src="cid:a%2540b">', "a%40b") == ()


class Sources(HTMLParser):
    """The same for well-formed HTML, by Python's own parser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, None] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = dict(attrs).get("src") or ""
        if source.startswith("cid:"):
            self.found[source.removeprefix("cid:")] = None


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=8)
PARTS = st.one_of(
    NAMES.map(lambda name: f'<img alt="x" src="cid:{html.escape(quote(name))}">'),
    NAMES.map(lambda name: f"<p title='{html.escape(name)}'>{html.escape(name)}</p>"),
    NAMES.map(lambda name: f"<!-- {name.replace('-', '')} src='cid:x' -->"),
)


@given(st.lists(PARTS, max_size=10))
def test_well_formed_html_is_read_as_pythons_own_parser_reads_it(parts: list[str]) -> None:
    text = "".join(parts)

    assert {quote(name) for name in missing(text)} == set(Sources(text).found)


ADVERSARIAL = (
    "<!--",
    "<!-- ",
    "<![CDATA[",
    "<",
    "</",
    "<?",
    "<a ",
    "<a x",
    '<a x="',
    "<a b='",
    "<a b=",
    "<a/x='y",
    "&",
    "&#",
    "&#9",
    "<style>",
    "<script></script",
    "<style>/*",
    "<style>url(",
    '<style>"\\',
    "<td style='url( ",
    "<img src='cid:",
    "<img src=cid:a>",
    "<img srcset='cid:a, ",
    "<a\t\n ",
    "=",
)


@pytest.mark.parametrize("start", ["cid ", "cid <a ", "cid <style>", "cid <td style='"])
def test_time_grows_linearly_with_any_text(start: str) -> None:
    """Eight times the text takes about eight times as long, not 64 times."""
    for unit in ADVERSARIAL:
        small, large = (_cpu_seconds(start + unit * (size // len(unit))) for size in (64_000, 512_000))
        assert large < 24 * small + 0.2, unit


@pytest.mark.parametrize("blank", [" ", "\n", "&#32;", "%20", "cid:"])
@pytest.mark.parametrize("end", ["x", ""])
def test_blanks_in_a_reference_cost_no_more_than_their_number(blank: str, end: str) -> None:
    small, large = (_cpu_seconds(f'<img src="cid:a{blank * size}{end}">') for size in (2_000, 16_000))

    assert large < 24 * small + 0.2


def test_a_megabyte_of_what_other_parsers_choke_on_is_read_in_seconds() -> None:
    assert _cpu_seconds("cid " + "<a " * (MEGABYTE // 3)) < 10


def _cpu_seconds(text: str) -> float:
    started = time.process_time()
    missing(text)
    return time.process_time() - started
