"""The report in a browser: it loads nothing, fits a phone, and works with the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.helpers.report_results import HOSTILE, MadeUp, write_results

from phenoloom.report import make_overview, make_report

pytestmark = pytest.mark.browser

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
HOSTILE_STUDY = MadeUp(
    name="hostile",
    title=f"Title {HOSTILE}",
    licence=HOSTILE,
    classes=[f"round{HOSTILE}", "b", "an-unbroken-name-of-a-class-that-is-far-too-long-for-a-phone", "d"],
    plates=[f"P{HOSTILE}", "P2"],
    reason=HOSTILE,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for study in (MadeUp(), HOSTILE_STUDY):
        study_folder, benchmarks = write_results(study, folder)
        make_report(study.settings, study_folder, benchmarks, study_folder / "report" / "index.html")
    make_overview(MadeUp().titles, folder, folder / "index.html")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine; install the package `chromium`")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


class Visit:
    """An opened page with everything that it asked for and complained about."""

    def __init__(self, browser: Browser, file: Path, **options: object) -> None:
        self.page: Page = browser.new_page(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())


PAGES = ["made-up/report/index.html", "hostile/report/index.html", "index.html"]


@pytest.fixture(params=PAGES, ids=["study", "hostile study", "overview"])
def file(request: pytest.FixtureRequest, results: Path) -> Path:
    return results / request.param


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Browser, file: Path) -> None:
    visit = Visit(browser, file)
    assert [url for url in visit.requests if not url.startswith("data:")] == [file.as_uri()]
    assert visit.complaints == []


def test_every_image_is_shown(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[0]).page
    sizes = page.eval_on_selector_all(
        "img", "images => images.map(i => i.complete ? i.naturalWidth * i.naturalHeight : 0)"
    )
    assert len(sizes) >= 24
    assert min(sizes) > 0


def test_links_of_the_contents_lead_to_headed_sections(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[0]).page
    anchors = page.eval_on_selector_all("nav a[href^='#']", "links => links.map(l => l.getAttribute('href'))")
    assert len(anchors) == 9
    assert "#shapes" in anchors
    for anchor in anchors:
        assert page.locator(f"{anchor} h2").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_a_phone(browser: Browser, file: Path, scheme: str) -> None:
    page = Visit(browser, file, viewport=PHONE, color_scheme=scheme).page
    page.eval_on_selector_all("details", "all => all.forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.body.scrollWidth") <= PHONE["width"]


def test_wide_tables_scroll_inside_a_frame_that_the_keyboard_reaches(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[0], viewport=PHONE).page
    frames = page.eval_on_selector_all(".scroll", "all => all.map(f => [f.tabIndex, f.getAttribute('aria-label')])")
    assert frames
    assert all(index == 0 and label for index, label in frames)


def test_a_table_is_sorted_with_the_keyboard_and_put_back(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[0]).page
    table = page.locator("#scores table").first
    head = table.locator("th").filter(has_text="kNN")
    values = "rows => rows.map(r => parseFloat(r.cells[2].dataset.sort))"
    original = table.locator("tbody tr").evaluate_all(values)
    head.locator("button").focus()
    orders = []
    for _ in range(3):
        page.keyboard.press("Enter")
        orders.append((head.get_attribute("aria-sort"), table.locator("tbody tr").evaluate_all(values)))
    assert orders == [
        ("descending", sorted(original, reverse=True)),
        ("ascending", sorted(original)),
        (None, original),
    ]


def test_choosing_a_class_in_the_legend_hides_the_others(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[0]).page
    panel = page.locator("#maps .panel").first
    visible = (
        "paths => new Set(paths.filter(p => getComputedStyle(p).display !== 'none').map(p => p.dataset.series)).size"
    )
    paths = panel.locator("path[data-series]")
    assert paths.evaluate_all(visible) == 4
    panel.locator(".legend button").nth(1).press("Enter")
    assert paths.evaluate_all(visible) == 1
    panel.locator(".legend button").nth(1).press("Enter")
    assert paths.evaluate_all(visible) == 4


def test_outlines_can_be_hidden(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[0]).page
    outline = page.locator("#data .overlay").first
    assert outline.is_visible()
    page.get_by_label("show the outlines of the objects").uncheck()
    assert not outline.is_visible()


def test_an_outline_lies_on_its_object(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[0]).page
    boxes = page.locator("#data .picture").first.evaluate(
        "p => [p.querySelector('img'), p.querySelector('path')].map(e => e.getBoundingClientRect().toJSON())"
    )
    image, outline = boxes
    # Objects are centred in their tiles.
    for start, size in (("x", "width"), ("y", "height")):
        middle = outline[start] + outline[size] / 2 - image[start]
        assert middle == pytest.approx(image[size] / 2, abs=0.08 * image[size])


def test_hostile_names_are_text(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[1]).page
    assert page.evaluate("window.pwned") is None
    assert page.locator("h1").text_content() == f"Title {HOSTILE}"
    assert page.title() == f"Title {HOSTILE} · phenoloom"
    assert HOSTILE in page.locator("#data").inner_text()
    assert page.locator("#data img[alt*='class round<script>']").count() == 6


def test_the_page_shows_the_same_without_scripts(browser: Browser, results: Path) -> None:
    with_scripts = Visit(browser, results / PAGES[0]).page
    without = Visit(browser, results / PAGES[0], java_script_enabled=False).page
    assert without.locator("main").inner_text() == with_scripts.locator("main").inner_text()


COLOURS = ["--ink", "--soft", "--accent", "--paper", "--warn", "--warn-wash"]


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrasts_with_its_ground(browser: Browser, results: Path, scheme: str) -> None:
    page = Visit(browser, results / PAGES[0], color_scheme=scheme).page
    script = "names => names.map(n => getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
    ink, soft, accent, paper, warn, wash = (_luminance(c) for c in page.evaluate(script, COLOURS))
    for text, ground in ((ink, paper), (soft, paper), (accent, paper), (warn, wash), (ink, wash)):
        low, high = sorted((text, ground))
        # Level AA for normal text.
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_overview_leads_to_the_study_and_back(browser: Browser, results: Path) -> None:
    page = Visit(browser, results / PAGES[2], viewport=DESKTOP).page
    page.get_by_role("link", name=MadeUp().title).click()
    assert page.locator("h1").text_content() == MadeUp().title
    page.locator("nav .brand a").click()
    assert page.locator("h1").text_content() == "Studies"
