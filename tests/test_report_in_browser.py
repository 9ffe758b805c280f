"""The report in headless Chromium: what a reader with a phone, a keyboard, a dark screen or a printer meets.

It is looked at as a run on made-up statements leaves it, and, where the variable VERIFICATION_REPORT names a
report.html, there as well.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_up import fake, write_package
from verification.__main__ import main
from verification.drawing import draw, with_dark_colours
from verification.style import BLUE, new_figure, rasterised

pytest.importorskip("selenium", reason="selenium is not installed")
BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
if BROWSER is None or DRIVER is None:
    # A browser is a program of the system; without it no test of this module can say anything.
    pytest.skip("chromium and chromedriver are not installed", allow_module_level=True)

# Not at the top (E402): Selenium is in an extra of its own, and imported where it is known to be there.
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

PHONE, TABLET, SIDEBAR_OR_BAR, DESKTOP = 390, 768, 1248, 1440
SCHEMES = ("light", "dark")

LONG_ROW = "softplus, digits: the distance of the one from the other, relative to the first of them"
COLUMNS = '["row", *(f"column {i}" for i in range(30))]'
WIDE_TABLE = f'Table("Values", {COLUMNS}, [("{LONG_ROW}", *[value] * 30), ("b", *[1] * 30)])'
LONG = r"The bound is $\\|f(x_1, \\dots, x_n)\\|^2 \\le C_1(\\phi, \\sigma_w) e^{{\\Lambda T}} \\le C_2$, at $v$."
VERDICTS = {
    "prop1": {}, "prop2": {"verdict": "Verdict.HOLDS_WITH_SCOPE"}, "relu": {"verdict": "Verdict.FAILS"},
    "thm1": {"verdict": "Verdict.UNDECIDED"}, "prop3": {"verdict": "Verdict.NOT_RUN"}, "thm2": {"apart": 0.1},
    "spectra": {"before": "raise ValueError('no ' + 'x' * 400)"}, "quadratic": {}, "open": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    sources = {id: fake(id, **options) for id, options in VERDICTS.items()}
    sources["prop2"] = sources["prop2"].replace('Table("Values", ["$L$", "v"], [(8, value)])', WIDE_TABLE)
    more = 'compare("$x$", {"first": 1, "second": 1}, allowed=0, because="pencil")'
    more = f'agreements=2 * [{more}] + [{more}.on("a"), '
    sources["thm1"] = sources["thm1"].replace("agreements=[", more)
    sources["open"] = sources["open"].replace("The value is $v$.", LONG.replace("{{", "{").replace("}}", "}"))
    assert WIDE_TABLE in sources["prop2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        main(["--out", str(folder / "out")], package=write_package(folder, **sources))
    return folder / "out" / "report.html"


@pytest.fixture(scope="module", params=["made up", "real"])
def report(request: pytest.FixtureRequest) -> Path:
    if request.param == "made up":
        return Path(request.getfixturevalue("made_up"))
    if "VERIFICATION_REPORT" not in os.environ:
        pytest.skip("VERIFICATION_REPORT names no report.html")
    return Path(os.environ["VERIFICATION_REPORT"]).resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def show(browser: Any, report: Path, *, width: int = DESKTOP, scheme: str = "light", media: str = "") -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width <= TABLET}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get("about:blank")  # a link within the page must not be what is loaded
    for log in ("performance", "browser"):
        browser.get_log(log)
    browser.get(report.as_uri())


def test_nothing_is_loaded_and_nothing_is_complained_about(browser: Any, report: Path) -> None:
    show(browser, report)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert asked[0] == report.as_uri()
    assert not [url for url in asked[1:] if not url.startswith("data:")]
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.scripts.length") == 0


@pytest.mark.parametrize("width", [320, PHONE, TABLET, SIDEBAR_OR_BAR - 1, SIDEBAR_OR_BAR, DESKTOP])
def test_the_page_is_as_wide_as_the_screen(browser: Any, report: Path, width: int) -> None:
    show(browser, report, width=width)
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= width
    assert browser.execute_script("return innerWidth") == width  # a phone zooms out of a page that is too wide


def test_no_text_is_cut_off(browser: Any, report: Path) -> None:
    show(browser, report, width=PHONE)
    cut = browser.execute_script("""
        return [...document.querySelectorAll("main *, header *")].filter(element => {
            const style = getComputedStyle(element);
            return style.overflowX === "hidden" && !element.closest(".hidden") && style.position !== "absolute"
                && element.scrollWidth > element.clientWidth + 1;
        }).map(element => element.outerHTML.slice(0, 80));""")
    assert cut == []


def test_on_a_phone_the_headings_of_rows_leave_half_of_it_to_the_numbers(browser: Any, report: Path) -> None:
    show(browser, report, width=PHONE)
    widths = browser.execute_script("""
        return [...document.querySelectorAll(".numbers tbody th")].map(cell => cell.getBoundingClientRect().width);""")
    assert widths
    assert max(widths) <= PHONE / 2


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_every_figure_is_there_and_described(browser: Any, report: Path, width: int, scheme: str) -> None:
    show(browser, report, width=width, scheme=scheme)
    images = browser.execute_script("""
        return [...document.images].map(
            image => [image.complete, image.naturalWidth, image.clientWidth, image.alt]);""")
    assert images
    for complete, natural, shown, alt in images:
        assert complete
        assert natural > 0
        assert shown >= 300
        assert alt.strip()


@pytest.mark.parametrize(("scheme", "paper"), [("light", (255, 255, 255)), ("dark", (0x1B, 0x1E, 0x21))])
def test_figures_have_the_paper_of_the_page_around_them(
    browser: Any, report: Path, scheme: str, paper: tuple[int, ...]
) -> None:
    image = pytest.importorskip("PIL.Image")
    show(browser, report, scheme=scheme)
    figure = browser.find_element(By.CSS_SELECTOR, "figure img")
    pixels = np.asarray(image.open(io.BytesIO(figure.screenshot_as_png)).convert("RGB"), dtype=int)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    assert np.abs(colours[counts.argmax()] - paper).max() <= 2
    ink = np.abs(pixels - np.asarray(paper)).max(axis=2).max()
    assert ink > 150  # the letters are not of the colour of the paper


@pytest.mark.parametrize(("scheme", "ink"), [("light", "#0072b2"), ("dark", "#4ba3e0")])
def test_rasterised_marks_have_the_colour_of_drawn_ones(browser: Any, tmp_path: Path, scheme: str, ink: str) -> None:
    image = pytest.importorskip("PIL.Image")
    figure, (axes,) = new_figure()
    axes.set_axis_off()
    rasterised(*axes.plot(np.arange(20), "s", color=BLUE, markersize=12))
    (tmp_path / "figure.svg").write_bytes(with_dark_colours(draw(figure).svg))
    (tmp_path / "page.html").write_text('<img src="figure.svg" alt="">', encoding="utf-8")
    show(browser, tmp_path / "page.html", scheme=scheme)
    pixels = image.open(io.BytesIO(browser.find_element(By.TAG_NAME, "img").screenshot_as_png)).convert("RGB")
    colours, counts = np.unique(np.asarray(pixels, dtype=int).reshape(-1, 3), axis=0, return_counts=True)
    found = colours[np.argsort(counts)[-2]]  # the paper is the most frequent
    assert np.abs(found - [int(ink[k : k + 2], 16) for k in (1, 3, 5)]).max() <= 1


CONTRAST = """
    const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const paper = element => {
        for (; element; element = element.parentElement) {
            const found = numbers(getComputedStyle(element).backgroundColor);
            if (found.length === 3 || found[3] === 1) return found;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll("body *")].filter(
        element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    ).map(element => {
        const pair = [numbers(getComputedStyle(element).color), paper(element)].map(luminance).sort((a, b) => b - a);
        return [(pair[0] + 0.05) / (pair[1] + 0.05), element.outerHTML.slice(0, 80)];
    }).filter(([contrast]) => contrast < 4.5);"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_has_the_contrast_that_wcag_asks_for(browser: Any, report: Path, scheme: str) -> None:
    show(browser, report, scheme=scheme)
    assert browser.execute_script(CONTRAST) == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(browser: Any, report: Path, width: int) -> None:
    show(browser, report, width=width)
    expected = browser.execute_script("""
        const found = [...document.querySelectorAll('a[href], summary, [tabindex="0"]')].filter(
            element => element.tagName === "SUMMARY" || !element.closest("details:not([open])"));
        found.forEach((element, index) => element.setAttribute("data-order", index));
        window.passed = [];
        addEventListener("keydown", () => {  // where the key before it has led
            const element = document.activeElement, box = element.getBoundingClientRect();
            const nav = document.querySelector("nav"), sticky = nav.getBoundingClientRect();
            const bar = nav.contains(element) || sticky.width < innerWidth || sticky.top > 0 ? 0 : sticky.bottom;
            const style = getComputedStyle(element);
            const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            passed.push([element === document.body, element.dataset.order ?? null, outlined,
                         box.top, box.bottom, box.left, bar]);
        }, true);
        return found.length;""")
    order: list[int] = []
    ActionChains(browser).send_keys(Keys.TAB).perform()
    passed = list[Any]()
    while len(passed) < 3 * expected and not any(on_body for on_body, *_ in passed[1:]):
        ActionChains(browser).send_keys(Keys.TAB * 50).perform()
        passed = browser.execute_script("return passed")
    for on_body, index, outline, top, bottom, left, bar in passed[1:]:
        if on_body:
            break  # once around
        if index is None:
            continue  # a formula that scrolls on this screen is reached as well
        order.append(int(index))
        assert outline
        assert bottom > bar, f"{index} is hidden under the bar"
        assert top < 844
        assert left >= -1
    assert order == list(range(expected))


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_links_lead_to_headings_that_are_in_sight(browser: Any, report: Path, width: int) -> None:
    show(browser, report, width=width)
    ActionChains(browser).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert browser.execute_script("return document.activeElement.id") == "summary"  # the skip link
    for link in browser.find_elements(By.CSS_SELECTOR, "nav a"):
        browser.execute_script("arguments[0].click()", link)
        top, height, bar = browser.execute_script("""
            const box = document.querySelector(location.hash).getBoundingClientRect();
            const nav = document.querySelector("nav").getBoundingClientRect();
            return [box.top, innerHeight, nav.width < innerWidth ? 0 : nav.bottom];""")
        assert bar <= top < height


def test_whatever_scrolls_can_be_reached_with_the_keyboard(browser: Any, report: Path) -> None:
    show(browser, report, width=PHONE)
    unreachable = browser.execute_script("""
        return [...document.querySelectorAll("body *")].filter(element => {
            const scrolls = /auto|scroll/.test(getComputedStyle(element).overflowX)
                && element.scrollWidth > element.clientWidth + 1;
            return scrolls && element.tabIndex !== 0 && !element.querySelector('a[href], summary, [tabindex="0"]');
        }).map(element => element.outerHTML.slice(0, 120));""")
    assert unreachable == []


EDGES = """
    const box = [...document.querySelectorAll(".numbers")].map(table => table.parentElement).find(
        box => box.scrollWidth > box.clientWidth + 100);
    box.scrollLeft = arguments[0] * box.scrollWidth;
    box.scrollIntoView({block: "center"});
    return box;"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_goes_on_beyond_the_edge_of_a_phone_has_a_shadow_there(browser: Any, made_up: Path, scheme: str) -> None:
    image = pytest.importorskip("PIL.Image")
    show(browser, made_up, width=PHONE, scheme=scheme)
    shade = []
    for place in (0, 0.5, 1):
        box = browser.execute_script(EDGES, place)
        pixels = np.asarray(image.open(io.BytesIO(box.screenshot_as_png)).convert("L"), dtype=int)
        shade.append(abs(int(np.median(pixels[:, -2])) - int(np.median(pixels[:, -30]))))
    before, within, end = shade
    assert min(before, within) >= 30
    assert end <= 3


def test_a_claim_on_many_roads_names_them_on_demand_and_on_paper(browser: Any, made_up: Path) -> None:
    show(browser, made_up)
    summary = browser.find_element(By.CSS_SELECTOR, "details.basis summary")
    road = browser.find_element(By.CSS_SELECTOR, "details.basis a")
    assert summary.text == "Roads: 3 comparisons"
    assert not road.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert road.is_displayed()
    assert road.text == "first · second"
    assert browser.find_element(By.CSS_SELECTOR, "#thm1-a .basis").text == "Roads: all 4 comparisons"
    show(browser, made_up, media="print")
    assert browser.execute_script("return document.querySelector('details.basis a').checkVisibility()")


def test_on_paper_there_is_no_navigation_and_nothing_scrolls(browser: Any, report: Path) -> None:
    show(browser, report, media="print")
    hidden = browser.execute_script("return [...document.querySelectorAll('nav, .skip')].map(e => e.clientHeight)")
    assert set(hidden) == {0}
    assert browser.execute_script("""
        return [...document.querySelectorAll(".scroll")].every(
            box => getComputedStyle(box).overflowX === "visible");""")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 10_000


def test_the_counts_at_the_top_are_those_of_the_statements(browser: Any, made_up: Path) -> None:
    show(browser, made_up)
    shown = [item.text for item in browser.find_elements(By.CSS_SELECTOR, ".counts li")]
    assert shown == ["✓ 3 hold", "◐ 2 hold with a scope", "✗ 1 refuted as stated", "? 2 undecided", "– 1 not run"]
