"""The page of the report, made from what report.json holds."""

from __future__ import annotations

import html.parser
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.made_up import fake, read, verify
from verification.mathml import render
from verification.numerals import number
from verification.summary import gist


class Page(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def page(package: Any, tmp_path: Path) -> str:
    broken = fake("prop2", before="raise ValueError('<script>alert(1)</script>')")
    name = package(prop1=fake("prop1", verdict="Verdict.UNDECIDED"), prop2=broken, thm1=fake("thm1", apart=1.0))
    verify(["--out", str(tmp_path / "out")], package=name)
    return (tmp_path / "out" / "report.html").read_text("utf-8")


def test_scopes_and_cited_claims_are_given_by_name_and_link(package: Any, tmp_path: Path) -> None:
    sources = {id: fake(id, verdict="Verdict.HOLDS_WITH_SCOPE") for id in ("prop1", "prop2", "thm1")}
    scope = "Where `a`, `elsewhere` and `nowhere` hold for $v$."
    more = f'Claim("more", "C.", Verdict.HOLDS_WITH_SCOPE, 1, 1, scope="{scope}"), Claim("a", '
    sources["prop1"] = sources["prop1"].replace('Claim("a", ', more)
    sources["prop2"] = sources["prop2"].replace('Claim("b", ', 'Claim("elsewhere", ')
    sources["thm1"] = sources["thm1"].replace("size={", 'scope="Never at once.", size={')
    verify(["--out", str(tmp_path)], package=package(**sources))
    html = (tmp_path / "report.html").read_text("utf-8")
    links = (
        '<li><a href="#prop1-more">more</a>: Where <a href="#prop1-a">a</a>, <a href="#prop2-elsewhere">elsewhere</a> '
        "and <code>nowhere</code> hold for "
    )
    assert links in html
    assert '<li><a href="#prop1-a">a</a>: For ' in html
    assert '<p class="scope"><strong>Scope of single claims:</strong></p>' in html
    assert '<p class="scope"><strong>Scope.</strong> Never at once.</p>' in html
    assert '<tr role="row" id="prop2-elsewhere">' in html
    assert "`" not in html


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    tags = Page(page).tags
    assert not re.search(r"https?:|url\(|@import|//\w+\.", page)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in tags}
    sources = [attributes[name] or "" for _, attributes in tags for name in ("src", "href") if name in attributes]
    assert sources
    assert all(source.startswith(("#", "data:image/svg+xml;base64,")) for source in sources)
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]


def test_the_page_can_be_walked_with_a_keyboard_and_a_screen_reader(page: str) -> None:
    tags = Page(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert links[0] == "#summary"
    assert all((link or "").removeprefix("#") in ids for link in links)
    labels = [attributes["aria-labelledby"] for _, attributes in tags if "aria-labelledby" in attributes]
    assert set(labels) <= set(ids)
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert [image["alt"] for image in images] == ['A line "falling" & more.'] * 2
    scrolling = [attributes for _, attributes in tags if "scroll" in (attributes.get("class") or "").split()]
    assert all(box.get("tabindex") == "0" and ({"aria-label", "aria-labelledby"} & box.keys()) for box in scrolling)
    assert Page(page).tags[0][0] == "html"
    assert Page(page).tags[0][1]["lang"] == "en"


def test_the_page_shows_what_the_json_holds(page: str, tmp_path: Path) -> None:
    for statement in read(tmp_path / "out")["statements"]:
        for text in (statement["title"], statement["claim"], statement["experiment"], statement["caption"]):
            assert str(render(text)) in page
        assert statement["command"] in page
        for claim in statement["claims"]:
            assert str(number(claim["measured"], claim["uncertainty"])) in page


@pytest.mark.parametrize(
    ("text", "sentence", "measured"),
    [
        ("As $a. b$ (1), e.g. so. Then more (measured: $x$).", "As $a. b$ (1), e.g. so. …", "$x$"),
        ("One sentence (measured: $x$).", "One sentence.", "$x$"),
        ("One (measured: $[0, x)$ (1); 2 of 3). Two (or so).", "One. …", "$[0, x)$ (1); 2 of 3"),
        ("One (proof: there; measured: $x$) and more.", "One (proof: there) and more.", "$x$"),
        ("One (measured: $x$) and more (or so).", "One and more (or so).", "$x$"),
        ("One. Two of $n$ (measured) do. Three.", "One. … Two of $n$ (measured) do. …", ""),
        ("One sentence", "One sentence", ""),
    ],
)
def test_the_summary_shows_the_first_sentence_and_what_was_measured(text: str, sentence: str, measured: str) -> None:
    assert gist(text) == (sentence, measured)


def test_the_summary_tells_what_decided_and_how_the_other_claims_came_out(package: Any, tmp_path: Path) -> None:
    extra = """Claim("open", "C.", Verdict.UNDECIDED, 1, 1, scope="Too noisy."), Claim("a", """
    prop1 = fake("prop1", verdict="Verdict.FAILS").replace("The value is $v$.", "It is. Or so (measured: $v$ there).")
    sources = {
        "prop1": prop1.replace('Claim("a", ', extra).replace("For $T < 2$ only.", "For $T < 2$. That is all."),
        "thm1": fake("thm1", apart=1.0),
        "open": fake("open").replace('scope="For $T < 2$ only.",', "").replace("size={", 'scope="In 1d. So.", size={'),
    }
    verify(["--out", str(tmp_path)], package=package(**sources))
    html = (tmp_path / "report.html").read_text("utf-8").replace('<span class="decisive">', " ")
    html = re.sub("<[^>]*>", "", html)
    summary = " ".join(html[html.rindex("Skip to the summary") : html.index("How to read this report")].split())
    for told in (
        "a · of the paper: It is. … Measured: v there. Scope: For T&lt;2. …",
        "3 claims: 1 holds, 1 undecided, 1 refuted",
        "Nothing is decided: The independent roads disagree: v (first, second). …", "1 of 1 disagree",
        "a · of the paper: The value is v. Scope: In 1d. …", "2 claims: 2 hold",
    ):  # fmt: skip
        assert told in summary
    assert summary.count("Measured:") == 1
    assert "Refuted as stated" in summary
