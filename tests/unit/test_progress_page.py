"""The progress page: valid HTML whatever is in it, everything escaped, nothing asked of anybody else."""

from __future__ import annotations

import base64
import hashlib
import re

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.envoy.progress_page import Brand, PageView, render, security_headers

TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["</title><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$title ${phase} {x}", "&amp;", "</style>"]
)
BRANDS = st.builds(
    Brand, TEXT, TEXT | st.just("https://img.example.com/l.svg?a=1&b=2"), TEXT | st.just("#0f5132"), TEXT
)
VIEWS = st.builds(
    PageView,
    TEXT,
    TEXT,
    st.lists(TEXT, max_size=2).map(tuple),
    TEXT,
    st.booleans(),
    st.none() | st.floats(-10, 1e6),
    st.none() | st.floats(-10, 1e6),
    st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
    st.none() | st.integers(1, 3_600),
    BRANDS,
)


def parsed(text: str):
    """Raises ParseError for anything that HTML does not allow."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def test_the_validator_finds_what_is_wrong():
    with pytest.raises(html5lib.html5parser.ParseError):
        parsed(render(PageView("x", "y")).replace("</h1>", ""))


@given(VIEWS)
def test_the_page_is_valid_and_holds_no_element_but_its_own_whatever_it_says(view):
    text = render(view)
    text.encode()
    tree = parsed(text)
    assert len(tree.findall(".//script")) == 1
    assert len(tree.findall(".//style")) == 1
    assert len(tree.findall(".//img")) <= 1
    assert all(not name.startswith("on") for element in tree.iter() for name in element.attrib)
    assert not [element for element in tree.iter() if element.tag in {"link", "iframe", "a", "form", "base"}]


@given(BRANDS)
def test_the_policy_lets_through_the_page_s_own_style_and_script_and_nothing_else(brand):
    text, headers = render(PageView("x", "y", refresh=2, brand=brand)), security_headers(brand)
    policy = headers["Content-Security-Policy"]
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        body = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert body
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.isascii()
    assert "\n" not in policy
    assert policy.count(";") == 6
    logo = re.search(r'<img src="([^"]*)"', text)
    assert (logo is None) == ("img-src 'none'" in policy)


@pytest.mark.parametrize(
    "url", ["http://a.test/l.png", "javascript:alert(1)", "//a.test/x", "https://a.test;x/y", "https://"]
)
def test_a_logo_that_is_not_over_https_is_left_out(url):
    assert "<img" not in render(PageView("x", "y", brand=Brand(logo_url=url)))


def test_a_colour_that_is_none_is_ours():
    assert "--accent:#1f6feb" in render(PageView("x", "y", brand=Brand(colour="red;} body{display:none")))


@pytest.mark.parametrize(
    ("seconds", "expected", "bar", "words"),
    [
        (30, 60, 'value="50"', "30 seconds so far, usually 60 seconds."),
        (1, 60, 'value="2"', "1 second so far"),
        (90, 60, 'value="95"', "it takes longer than usual"),
        (150, None, "<progress aria-label", "2 minutes 30 seconds so far."),
        (None, 60, "<progress aria-label", ""),
    ],
)
def test_the_bar_shows_how_far_a_start_is_by_how_long_it_usually_takes(seconds, expected, bar, words):
    text = render(PageView("x", "y", busy=True, seconds=seconds, expected=expected))
    assert bar in text
    assert words in text


def test_a_page_that_stays_as_it_is_does_not_load_itself_again():
    assert "http-equiv" not in render(PageView("x", "y"))
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in render(PageView("x", "y", refresh=2))
