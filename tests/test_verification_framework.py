"""The verification's frame: what it does with statements, shown on small made-up ones."""

from __future__ import annotations

import dataclasses
import functools
import html.parser
import importlib.util
import itertools
import json
import math
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

import verification.statements
from tests.made_up import fake, files, read, verdicts, write_package
from verification import Agreement, Claim, Config, Result, Table, Verdict, compare, report
from verification import __main__ as command
from verification.catalogue import PAPER, available, load, select
from verification.drawing import draw, inches, with_dark_colours
from verification.fit import power_law
from verification.mathml import render
from verification.numerals import column, number
from verification.plain import plain
from verification.runner import examine
from verification.statement import Origin, overall
from verification.style import PALETTE, guide, new_figure
from verification.summary import gist

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a package of statement modules from their sources, by id."""
    monkeypatch.syspath_prepend(tmp_path)
    return functools.partial(write_package, tmp_path)


def main(arguments: list[str], **options: Any) -> int:
    """The command, which runs statements in this process unless it is told otherwise here."""
    return command.main(["--jobs", "1", *arguments], **options)


# Runs


def test_a_run_writes_json_html_and_two_pictures_per_statement(package: Any, tmp_path: Path) -> None:
    name = package(prop1=fake("prop1"), thm1=fake("thm1", verdict="Verdict.FAILS"))
    assert main(["--out", str(tmp_path / "out")], package=name) == 0  # a claim that fails is no failure of the run
    pictures = {f"figures/{id}.{suffix}" for id in ("prop1", "thm1") for suffix in ("svg", "png")}
    assert files(tmp_path / "out") == {"report.json", "report.html"} | pictures
    assert verdicts(tmp_path / "out") == {"prop1": "holds", "thm1": "fails-as-stated"}


def test_report_json_keeps_its_contract(package: Any, tmp_path: Path) -> None:
    main(["--out", str(tmp_path / "out"), "--seed", "7"], package=package(prop2=fake("prop2")))
    found = read(tmp_path / "out")
    assert {"version", "seed", "environment", "statements"} <= found.keys()
    assert found["seed"] == 7
    assert {"refimpl", "python", "numpy", "scipy", "platform", "cpus", "blas", "threads"} <= found["environment"].keys()
    (statement,) = found["statements"]
    keys = "id title verdict scope measured predicted uncertainty size roads figure claims"
    assert set(keys.split()) <= statement.keys()
    assert statement["roads"] == ["first", "second"]
    assert statement["figure"] == "figures/prop2.svg"
    assert statement["size"] == {"n": 4, "L": [8, 16, 32], "full": "False"}
    first, second = statement["claims"]
    assert (first["id"], first["text"], first["verdict"]) == ("a", "The value is $v$.", "holds")
    assert (first["origin"], first["seed"], first["agreements"]) == ("paper", 7, [0])
    assert first["roads"] == second["roads"] == ["first", "second"]
    assert (statement["measured"], statement["predicted"]) == (first["measured"], first["predicted"])
    assert second["predicted"] == "inf"


def test_ids_and_verdicts_are_those_of_the_contract() -> None:
    ids = "prop1 prop2 relu eq8 limits thm1 integral prop3 thm2 spectra distance losses horizon quadratic solvers open"
    assert list(PAPER) == ids.split()
    assert {str(v) for v in Verdict} == {"holds", "holds-with-scope", "fails-as-stated", "undecided", "not-run"}


def test_the_same_seed_gives_the_same_numbers_and_the_same_bytes(package: Any, tmp_path: Path) -> None:
    name = package(prop1=fake("prop1"), prop2=fake("prop2"))
    for out, arguments in {"one": [], "two": [], "alone": ["prop2"], "other": ["--seed", "1"]}.items():
        main([*arguments, "--out", str(tmp_path / out)], package=name)
    reports = {out: read(tmp_path / out) for out in ("one", "two", "alone", "other")}
    for found in reports.values():
        del found["environment"]
    assert reports["one"] == reports["two"]
    assert reports["alone"]["statements"] == reports["one"]["statements"][1:]  # whatever else runs
    assert reports["other"]["statements"][0]["measured"] != reports["one"]["statements"][0]["measured"]
    assert len({statement["measured"] for statement in reports["one"]["statements"]}) == 2
    for picture in ("prop2.svg", "prop2.png"):
        one, two, other = ((tmp_path / out / "figures" / picture).read_bytes() for out in ("one", "two", "other"))
        assert one == two
        assert one != other


def test_a_statement_that_raises_is_recorded_and_the_others_go_on(package: Any, tmp_path: Path, capsys: Any) -> None:
    name = package(
        prop1=fake("prop1", before="raise ArithmeticError('rtol < 1e-9 & $x')"),
        prop2="import nothing_of_this_name",
        thm1=fake("thm2"),
        prop3=fake("prop3", before="raise SystemExit(0)"),
        open=fake("open"),
    )
    assert main(["--out", str(tmp_path / "out")], package=name) == 1
    found = {statement["id"]: statement for statement in read(tmp_path / "out")["statements"]}
    assert [found[id]["verdict"] for id in PAPER if id in found] == [*["not-run"] * 4, "holds"]
    assert "ArithmeticError: rtol < 1e-9 & $x (prop1.py, line" in found["prop1"]["reason"]
    assert "nothing_of_this_name" in found["prop2"]["reason"]
    assert "ID must be the name of the module, 'thm1', got 'thm2'" in found["thm1"]["reason"]
    assert "SystemExit" in found["prop3"]["reason"]
    assert str(escape("rtol < 1e-9 & $x")) in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (fake("prop1").replace("Drawing $v$", r"Drawing $\undefined$"), "unknown command"),
        (fake("prop1").replace('"error"', r'r"$\frac{$"'), "Expected \\frac"),
        (fake("prop1", before="return None"), "must return a Result"),
    ],
    ids=["formula", "axis label", "no result"],
)
def test_what_the_report_cannot_show_fails_its_statement_only(
    source: str, reason: str, package: Any, tmp_path: Path
) -> None:
    assert main(["--out", str(tmp_path / "out")], package=package(prop1=source, open=fake("open"))) == 1
    assert verdicts(tmp_path / "out") == {"prop1": "not-run", "open": "holds"}
    assert reason in read(tmp_path / "out")["statements"][0]["reason"]


def test_roads_that_disagree_leave_the_statement_undecided_and_fail_the_run(package: Any, tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path / "out")], package=package(prop1=fake("prop1", apart=0.1))) == 1
    (statement,) = read(tmp_path / "out")["statements"]
    assert statement["verdict"] == "undecided"
    assert "The independent roads disagree: $v$ (first, second)." in statement["scope"]


def test_the_report_is_up_to_date_after_every_statement(package: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    look = f"from pathlib import Path; text = Path({str(out / 'report.json')!r}).read_text()"
    spy = fake("prop2", before=f'{look}; assert text.count(\'"verdict": "not-run"\') == 1, text')
    assert main(["--out", str(out)], package=package(prop1=fake("prop1"), prop2=spy)) == 0


def test_replacing_a_file_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    report.replace_file(path, b"old")

    def interrupted(*_: object) -> None:
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report.replace_file(path, b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"report.json": b"old"}


# Command line


def status(arguments: list[str], **options: Any) -> int:
    try:
        return main(arguments, **options)
    except SystemExit as stop:  # argparse's way to refuse
        return int(stop.code or 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relu", "prop1"], "not implemented yet: relu; those that exist: prop1"),
        (["foo"], "no such statement: foo; those that exist: prop1"),
        (["--seed", "-1"], "must be an integer ≥ 0, got '-1'"),
        (["--seed", "1.5"], "must be an integer ≥ 0, got '1.5'"),
    ],
)
def test_wrong_usage_is_answered_before_any_work(
    arguments: list[str], message: str, package: Any, tmp_path: Path, capsys: Any
) -> None:
    assert status([*arguments, "--out", str(tmp_path / "out")], package=package(prop1=fake("prop1"))) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_told_before_a_statement_runs(
    package: Any, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "out").touch()
    name = package(prop1=fake("prop1", before=f"open({str(tmp_path / 'ran')!r}, 'w').close()"))
    assert status(["--out", str(tmp_path / "out")], package=name) == 2
    assert re.fullmatch(r"python -m verification: --out \S+ cannot be written: .*\n", capsys.readouterr().err)
    assert not (tmp_path / "ran").exists()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tqdm" else name)
    assert status(["--list"]) == 2
    assert "needs tqdm: pip install -e '.[verify]'" in capsys.readouterr().err


def test_list_prints_ids_and_titles_in_the_order_of_the_paper(package: Any, capsys: Any) -> None:
    assert main(["--list"], package=package(thm1=fake("thm1"), prop1=fake("prop1"))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["prop1", "thm1"]
    assert lines[1].endswith("Theorem 1: A made-up statement for n → ∞")


def test_list_goes_on_after_a_statement_that_cannot_be_loaded(package: Any, capsys: Any) -> None:
    assert main(["--list"], package=package(prop1="import nothing_of_this_name", open=fake("open"))) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("open ")
    assert captured.err.startswith("python -m verification: prop1 cannot be loaded: ModuleNotFoundError")
    assert captured.err.count("\n") == 1


def test_a_stranger_among_the_statements_is_told_in_one_line(package: Any, capsys: Any) -> None:
    assert main(["--list"], package=package(prop0="")) == 1
    assert "prop0" in capsys.readouterr().err


def test_full_reaches_the_statement_and_its_command(package: Any, tmp_path: Path) -> None:
    main(["--full", "--seed", "3", "--out", str(tmp_path / "out")], package=package(open=fake("open")))
    (statement,) = read(tmp_path / "out")["statements"]
    assert statement["size"]["full"] == "True"
    assert statement["command"] == "python -m verification open --seed 3 --full"


def test_helper_modules_are_no_statements_and_strangers_are_refused(package: Any, tmp_path: Path) -> None:
    name = package(prop1=fake("prop1"), _helper="", prop0="")
    with pytest.raises(ImportError, match="prop0"):
        available(name)
    (tmp_path / name / "prop0.py").unlink()
    assert available(name) == ("prop1",)


@given(st.lists(st.sampled_from(sorted(PAPER))), st.sets(st.sampled_from(sorted(PAPER)), min_size=1))
def test_selection_keeps_the_order_of_the_paper(wanted: list[str], exist: set[str]) -> None:
    implemented = [id for id in PAPER if id in exist]
    if set(wanted) <= exist:
        assert select(wanted, implemented) == tuple(id for id in implemented if not wanted or id in wanted)
    else:
        with pytest.raises(ValueError, match="not implemented yet"):
            select(wanted, implemented)


# The page


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
    main(["--out", str(tmp_path / "out")], package=name)
    return (tmp_path / "out" / "report.html").read_text("utf-8")


def test_scopes_and_cited_claims_are_given_by_name_and_link(package: Any, tmp_path: Path) -> None:
    sources = {id: fake(id, verdict="Verdict.HOLDS_WITH_SCOPE") for id in ("prop1", "prop2", "thm1")}
    scope = "Where `a`, `elsewhere` and `nowhere` hold for $v$."
    more = f'Claim("more", "C.", Verdict.HOLDS_WITH_SCOPE, 1, 1, scope="{scope}"), Claim("a", '
    sources["prop1"] = sources["prop1"].replace('Claim("a", ', more)
    sources["prop2"] = sources["prop2"].replace('Claim("b", ', 'Claim("elsewhere", ')
    sources["thm1"] = sources["thm1"].replace("size={", 'scope="Never at once.", size={')
    main(["--out", str(tmp_path)], package=package(**sources))
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


@given(st.text(st.characters(exclude_characters="$'0123456789", exclude_categories=["Cs"])))
def test_text_without_formulas_and_numbers_is_escaped_and_otherwise_kept(text: str) -> None:
    assert render(text) == escape(text)


@pytest.mark.parametrize(
    "text", ["one $ dollar", "$a$ and $b", r"$\frac{a$", r"$\nonsense$", "$a & b$", "$}{$"], ids=repr
)
def test_a_formula_that_cannot_be_read_raises(text: str) -> None:
    with pytest.raises(ValueError, match=r"dollar|formula"):
        render(text)


def test_bold_and_blackboard_letters_are_spelled_out_for_browsers() -> None:
    shown = render(r"$\boldsymbol{\theta} \in \mathbb{R}^d, \mathbb S, \boldsymbol W$, \$5")
    assert all(letter in shown for letter in "𝜽ℝ𝕊𝑾")
    assert "mathvariant" not in shown
    assert shown.endswith("$5")


@given(st.floats(-1e300, 1e300), st.integers(2, 16))  # 1.75e308 to two digits is no float
def test_a_number_is_shown_to_its_digits_and_kept_exactly(value: float, digits: int) -> None:
    found = re.fullmatch(r'<data value="(.*?)">(.*?)</data>', number(value, digits=digits))
    assert found
    assert float(found[1]) == value
    plain = found[2].replace("−", "-").replace("\u202f", "").replace(" × 10<sup>", "e").replace("</sup>", "")
    # Half a unit of the last digit, and the rounding of this very comparison.
    assert math.isclose(float(plain), value, rel_tol=0.5 * 10.0 ** (1 - digits) + 2e-16, abs_tol=0)


@pytest.mark.parametrize(
    ("value", "uncertainty", "shown"),
    [(-0.998123, 0.0042, "−0.9981"), (2.5, None, "2.5"), (0.25000001, None, "0.2500"), (123456.7, None, "123\u202f457"),
     (20480, None, "20\u202f480"), (math.inf, None, "∞"), (None, None, "–"), (3e-9, None, "3 × 10<sup>−9</sup>"),
     (0.0, None, "0"), ("$n<1$", None, render("$n<1$"))],
)  # fmt: skip
def test_numbers_are_written_for_readers(value: Any, uncertainty: float | None, shown: str) -> None:
    given = "inf" if value == math.inf else value  # as report.json holds it
    assert re.sub("</?data.*?>", "", number(given, uncertainty)) == shown


def test_numbers_of_a_column_share_their_notation_and_have_their_points_in_line() -> None:
    def shown(values: list[Any]) -> list[str]:
        return [str(re.sub("</?data.*?>", "", cell)) for cell in column(values)]

    assert shown([0.25, 1, 12.0, None]) == ["0.25", "1\u2008\u2007\u2007", "12.00", "–"]
    assert shown([0.9904, 1.028, 0.5, -0.0]) == ["0.990", "1.028", "0.500", "0\u2008\u2007\u2007\u2007"]
    assert shown([63.79, 0.2562, 1.0]) == [
        "63.79\u2007\u2007",
        "0.2562",
        "1.000\u2007",
    ]  # a thousandth of 63.79 is not known
    assert shown([64.0, 128.0]) == ["64", "128"]
    assert shown([269.5, 484.0, 1258.0]) == ["270", "484", "1258"]
    assert shown([1e-4, 4.214e-13]) == ["1.000 × 10<sup>−4\u2007</sup>", "4.214 × 10<sup>−13</sup>"]
    assert shown([0.5, 1.25e-7, 0.0, "none"]) == ["5.00 × 10<sup>−1</sup>", "1.25 × 10<sup>−7</sup>", "0", "none"]
    assert shown([3, 20480]) == ["3", "20\u202f480"]


@given(st.lists(st.floats(-1e300, 1e300) | st.integers(-(10**12), 10**12), min_size=1, max_size=6))
def test_a_column_keeps_every_number_exactly(values: list[float]) -> None:
    found = [re.search(r'value="(.*?)"', cell) for cell in column(values)]
    assert [float(match[1]) for match in found if match] == values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"$\lambda_t = \partial f / \partial h_t$", "λ_t = ∂f/∂h_t"),
        (r"$\dot h_t$ and $\bar x$, \$5", "h\u0307_t and x\u0304, $5"),
        (r"$\|K_\infty^L\| \le C L^{-1/2}$", "‖K_∞^L‖ ≤ CL^(−1/2)"),
        (r"$\lim_{n \to \infty} \frac{a + b}{\sqrt{n}}$", "lim_(n → ∞) (a+b)/(√n)"),
        (r"$\phi'$, $\int_0^T f\,dt$, $\sqrt{2t}$", "ϕ′, ∫_0^T fdt, √2t"),
    ],
)
def test_formulas_become_plain_text_for_a_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters(exclude_characters="$\\", exclude_categories=["Cs"])))
def test_plain_text_without_formulas_is_kept(text: str) -> None:
    assert plain(text) == text


def test_a_long_formula_may_break_after_relations_and_slashes_and_a_short_one_may_not() -> None:
    long = render(r"$e^{-\Lambda t} \le \|h_t(x) - h_t(x')\| / \|h_0(x) - h_0(x')\| \le e^{\Lambda t}$")
    assert long.count("<wbr>") == 3
    assert "<wbr>" not in render(r"$16 \le L \le 1024$")


def test_the_bar_of_a_root_is_kept_clear_of_what_is_below_it() -> None:
    for formula in (r"$\sqrt n$", r"$\sqrt{n}$", r"$\sqrt{2 t}$"):
        assert "<msqrt><mrow>" in render(formula)  # the style sheet pads that row


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
    main(["--out", str(tmp_path)], package=package(**sources))
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


# Figures


def test_a_dark_page_changes_every_colour_that_would_be_lost_on_it() -> None:
    figure, (axes,) = new_figure()
    axes.plot([1, 2], color="#000000")
    svg = draw(figure).svg
    dark = with_dark_colours(svg)
    head, _, tail = dark.partition(b"@media (prefers-color-scheme: dark)")
    assert head + tail[tail.index(b"</style>") :] == svg  # by a style sheet alone
    for colour in (b"#ffffff", b"#000000", b"#e3e3e3"):
        assert colour in svg
        assert b'[style*="stroke: %b"] {stroke: ' % colour in dark
    assert inches(svg) == 5.0


def test_bytes_that_are_no_figure_are_refused() -> None:
    with pytest.raises(ValueError, match="no SVG"):
        inches(b"<svg>")


def test_figures_do_not_depend_on_the_settings_of_the_user(package: Any) -> None:
    statement = load("prop1", package(prop1=fake("prop1")))
    plain = examine(statement, Config("prop1")).drawing
    own: Any = {
        "font.size": 20,
        "lines.linewidth": 5,
        "xtick.labelsize": 30,
        "svg.hashsalt": None,
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(own):
        assert examine(statement, Config("prop1")).drawing == plain
        assert matplotlib.rcParams["font.size"] == 20
    assert plain is not None
    assert b"<dc:date>" not in plain.svg


@given(st.floats(-4, 4), st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_guide_is_the_predicted_power_law(slope: float, x0: float, y0: float) -> None:
    _, (axes,) = new_figure()
    guide(axes, [1.0, 8.0], slope=slope, through=(x0, y0), label="predicted")
    x, y = (np.asarray(data, dtype=float) for data in axes.lines[0].get_data())
    # Two powers of numbers in [0.1, 80] and a product: a few roundings, times |slope · log x| ≤ 18.
    np.testing.assert_allclose(y, y0 * np.exp(slope * (np.log(x) - np.log(x0))), rtol=100 * np.finfo(float).eps)


def test_colours_differ_in_lightness_or_hue_for_every_reader() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    assert set(PALETTE) <= {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}


# Statements


def claim(verdict: Verdict, id: str = "a") -> Claim:
    return Claim(id, "A sentence.", verdict, 1, 1, scope="Said why.", origin="paper")


def agreement(difference: float = 0.0) -> Agreement:
    return Agreement("$K$", ("Gauss", "Euler"), difference, 1e-3, "stated bound")


RANK = [Verdict.HOLDS, Verdict.HOLDS_WITH_SCOPE, Verdict.UNDECIDED, Verdict.FAILS]
BADNESS = {verdict: rank for rank, verdict in enumerate(RANK)}
RUN = st.lists(st.sampled_from(RANK), min_size=1).map(lambda found: [claim(verdict) for verdict in found])


@given(RUN)
def test_a_statement_is_as_bad_as_its_worst_claim(claims: list[Claim]) -> None:
    assert overall(claims, [agreement()]) is max((claim.verdict for claim in claims), key=BADNESS.__getitem__)


@given(RUN)
def test_a_claim_left_out_never_improves_a_verdict_and_never_lets_it_hold_whole(claims: list[Claim]) -> None:
    without = overall(claims, [])
    assert overall([*claims, claim(Verdict.NOT_RUN)], []) is max(
        without, Verdict.HOLDS_WITH_SCOPE, key=BADNESS.__getitem__
    )
    assert overall([claim(Verdict.NOT_RUN)], []) is Verdict.NOT_RUN


@given(RUN)
def test_a_false_sentence_of_ours_leaves_undecided_what_it_would_fail_were_it_of_the_paper(claims: list[Claim]) -> None:
    ours = dataclasses.replace(claim(Verdict.FAILS), origin=Origin.OURS)
    expected = max(overall(claims, []), Verdict.UNDECIDED, key=BADNESS.__getitem__)
    assert overall([*claims, ours], []) is expected
    figure, _ = new_figure()
    assert Result([claim(Verdict.HOLDS, "b"), ours], [agreement()], "E.", {}, figure, "F.").decisive is ours


@given(RUN, st.sampled_from([0.002, math.inf, math.nan]))
def test_no_verdict_rests_on_roads_that_disagree(claims: list[Claim], difference: float) -> None:
    assert overall(claims, [agreement(), agreement(difference)]) is Verdict.UNDECIDED


def test_the_decisive_claim_is_the_first_that_carries_the_verdict() -> None:
    claims = [claim(Verdict.HOLDS, "a"), claim(Verdict.FAILS, "b"), claim(Verdict.FAILS, "c")]
    figure, _ = new_figure()
    result = Result(claims, [agreement()], "Looking.", {}, figure, "A figure.")
    assert (result.verdict, result.decisive.id, result.full_scope) == (Verdict.FAILS, "b", "Said why.")
    assert Result(claims, [agreement(1.0)], "Looking.", {}, figure, "A figure.").decisive.id == "a"


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5), st.booleans())
def test_comparison_is_the_largest_difference_of_any_two_roads(values: list[float], relative: bool) -> None:
    roads = {str(i): value for i, value in enumerate(values)}
    found = compare("$K$", roads, allowed=0.0, because="bound", relative=relative)
    scale = max(map(abs, values)) if relative and any(values) else 1.0
    assert found.difference == (max(values) - min(values)) / scale
    assert found.agree == (len(set(values)) == 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_roads_that_are_not_finite_never_agree(bad: float) -> None:
    roads = {"Gauss": [1.0, bad], "Euler": [1.0, bad]}
    assert not compare("$K$", roads, allowed=1e300, because="bound").agree


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Claim("A b", "T.", Verdict.HOLDS, 1, 1), "id must be made of"),
        (lambda: Claim("a", " ", Verdict.HOLDS, 1, 1), "text must not be empty"),
        (lambda: Claim("a", "T.", Verdict.HOLDS, math.nan, 1), "claim 'a': measured must not be NaN"),
        (lambda: Claim("a", "T.", Verdict.HOLDS_WITH_SCOPE, 1, 1), "scope must say why"),
        (lambda: Claim("a", "T.", "maybe", 1, 1), "'maybe' is not a valid Verdict"),
        (lambda: Table("T", ["a", "b"], [(1,)]), "must have 2 entries"),
        (lambda: Agreement("K", ("one", "one"), 0.0, 0.1, "bound"), "two or more different ways"),
        (lambda: Agreement("K", ("one", "two"), 0.0, math.inf, "bound"), "allowed must be finite"),
        (lambda: compare("K", {"a": [1], "b": [1, 2]}, allowed=0, because="bound"), "one shape"),
        (lambda: compare("K", {"a": [], "b": []}, allowed=0, because="bound"), "not empty"),
        (lambda: compare("K", {"a": 1}, allowed=0, because="bound"), "two or more different ways"),
        (lambda: Result([], [agreement()], "E.", {}, new_figure()[0], "F."), "at least one Claim"),
        (lambda: Result([claim(Verdict.HOLDS)], [], "E.", {}, new_figure()[0], "F."), "two roads"),
        (lambda: Result([claim(Verdict.HOLDS)], [agreement()], "E.", {}, new_figure()[0], ""), "figure in words"),
        (lambda: Result([claim(Verdict.HOLDS)] * 2, [agreement()], "E.", {}, new_figure()[0], "F."), "different ids"),
        (lambda: Result([claim(Verdict.HOLDS)], [agreement().on("b")], "E.", {}, new_figure()[0], "F."), "got ['b']"),
        (
            lambda: Result(
                [claim(Verdict.HOLDS), claim(Verdict.HOLDS, "b")],
                [agreement().on("b")],
                "E.",
                {},
                new_figure()[0],
                "F.",
            ),
            "got none for ['a']",
        ),
        (lambda: Config("prop1", seed=-1), "integer ≥ 0, got -1"),
        (lambda: power_law([1, 2, 3], [1, 0, 1]), "y must be positive"),
        (lambda: power_law([1, 1, 1], [1, 2, 3]), "two different values"),
        (lambda: power_law([1, 2], [1, 2]), "m ≥ 3"),
    ],
)
def test_bad_input_raises_and_names_the_argument(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_a_claim_rests_on_the_agreements_that_name_it_and_on_those_that_name_none() -> None:
    own, other, common = agreement().on("a"), agreement().on("b", "c"), agreement()
    claims = [claim(Verdict.HOLDS, "a"), claim(Verdict.HOLDS, "b"), claim(Verdict.NOT_RUN, "c")]
    result = Result(claims, [own, other, common], "E.", {}, new_figure()[0], "F.")
    assert [result.basis(found) for found in claims] == [(own, common), (other, common), (other, common)]
    assert Result([claim(Verdict.NOT_RUN, "a"), claims[1]], [other.on("b")], "E.", {}, new_figure()[0], "F.")
    with pytest.raises(TypeError, match="claims must be a sequence of ids, got the string 'rate'"):
        Agreement("$K$", ("Gauss", "Euler"), 0.0, 1.0, "bound", claims="rate")


def test_an_agreement_holds_numbers_that_json_knows() -> None:
    found = Agreement("$K$", ("Gauss", "Euler"), np.float32(0.5), np.float64(1), "bound")
    assert json.dumps([found.difference, found.allowed, found.agree]) == "[0.5, 1.0, true]"


@pytest.mark.parametrize("bad", [True, np.True_, 1j, [1.0]])
def test_a_measured_value_is_a_number_or_words(bad: Any) -> None:
    with pytest.raises(TypeError, match="measured must be a number, a string or None"):
        Claim("a", "T.", Verdict.HOLDS, bad, 1)


def test_random_numbers_follow_the_seed_the_statement_and_the_key_alone() -> None:
    keys: list[tuple[str | int, ...]] = [(), ("x",), ("x", 0), ("x", 1), (0,), ("0",), ("x", "0")]
    configs = [Config("prop1", 0), Config("prop1", 1), Config("prop2", 0), Config("prop1", 2**70)]
    draws = [int(config.rng(*key).integers(2**62)) for config in configs for key in keys]
    assert len(set(draws)) == len(draws)
    assert Config("prop1", 0, full=True).rng("x", np.int64(1)).integers(2**62) == draws[3]


@given(st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_a_power_law_is_recovered(slope: float, constant: float) -> None:
    x = 2.0 ** np.arange(3, 9)
    fit = power_law(x, constant * x**slope)
    # Rounding of log y, at most (|log C| + |slope| log x) ε < 24 ε a point, over a spread of log x above 1.
    bound = 1e3 * np.finfo(float).eps
    assert abs(fit.slope - slope) <= bound
    assert fit.uncertainty <= bound
    assert math.isclose(fit.constant, constant, rel_tol=10 * bound)


def test_the_interval_of_a_noisy_slope_covers_it_as_often_as_it_says() -> None:
    rng, x, trials = np.random.default_rng(0), 2.0 ** np.arange(3, 9), 2000
    fits = (power_law(x, x**-0.5 * np.exp(0.1 * rng.standard_normal(6))) for _ in range(trials))
    covered = sum(abs(fit.slope + 0.5) <= fit.uncertainty for fit in fits) / trials
    assert abs(covered - 0.95) <= 4 * math.sqrt(0.95 * 0.05 / trials)  # four standard deviations


def test_the_documented_example_runs_and_holds(package: Any) -> None:
    example = textwrap.dedent((verification.statements.__doc__ or "").partition("::\n")[2])
    name = package(prop1=example.replace('"euler"', '"prop1"'))
    result = examine(load("prop1", name), Config("prop1")).result
    assert result is not None
    assert (result.verdict, result.roads_agree) == (Verdict.HOLDS, True)
