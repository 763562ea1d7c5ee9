"""The results page in Chromium: `make test-browser`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.results.pages.html.sample import LABELS, sample_page

pytestmark = pytest.mark.browser
CHROMIUM = Path("/usr/bin/chromium")
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Not at the top: `make test` collects this file in environments without the package.
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.fail("needs Debian's chromium: apt-get install --no-install-recommends chromium")
    with sync_playwright() as running:
        # The page is ours and the tests may run as root, where Chromium has no sandbox.
        chromium = running.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "results.html"
    path.write_text(sample_page(), encoding="utf-8")
    return path.as_uri()


class Opened:
    """A page, with everything that it said and asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_page(**{"viewport": WIDE, **options})
        self.page.set_default_timeout(5000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.address = address

    def close(self) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith("data:")] == [self.address]
        self.page.close()

    def column(self, table: str, number: int) -> list[str]:
        return [
            text.strip() for text in self.page.locator(f"{table} tbody tr > :nth-child({number})").all_inner_texts()
        ]


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Opened]:
    page = Opened(browser, address)
    yield page
    page.close()


def values(texts: list[str]) -> list[float]:
    return [float(text.split()[0]) for text in texts if text[0].isdigit()]


def test_a_click_on_a_head_sorts_and_a_second_one_turns_the_order(opened: Opened) -> None:
    table = "#b-imagenet_mhead table"
    head = opened.page.locator(f"{table} thead th:nth-child(6)")
    before = values(opened.column(table, 6))
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert values(opened.column(table, 6)) == sorted(before, reverse=True) != before
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert values(opened.column(table, 6)) == sorted(before)
    opened.page.locator(f"{table} thead th:nth-child(1) button").click()
    assert head.get_attribute("aria-sort") == "none"
    names = [re.split("[ ,]", name)[0].lower() for name in opened.column(table, 1)]
    assert names == sorted(names)


def test_blanks_stay_last_in_either_order(opened: Opened) -> None:
    table = "#b-coco_mask_rcnn table"
    for _ in range(2):
        opened.page.locator(f"{table} thead th:nth-child(2) button").click()
        column = opened.column(table, 2)
        assert not column[-1][0].isdigit()
        assert all(text[0].isdigit() for text in column[:-1])


def test_sorting_works_from_the_keyboard(opened: Opened) -> None:
    head = opened.page.locator("#overview thead th:nth-child(2)")
    head.locator("button").focus()
    opened.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"


def test_the_filter_leaves_models_whose_names_hold_all_words(opened: Opened) -> None:
    rows = opened.page.locator("#overview tbody tr:visible")
    assert rows.count() == len(LABELS)
    opened.page.fill("#filter", "RATHER moco")
    assert rows.count() == 1
    assert opened.page.locator("#count").inner_text() == "1 models shown"
    assert opened.page.locator("#b-imagenet_mhead .series:visible").count() == 3
    opened.page.fill("#filter", "nobody")
    assert rows.count() == 0
    opened.page.fill("#filter", "")
    assert rows.count() == len(LABELS)


def test_published_numbers_and_what_is_no_result_can_be_hidden(opened: Opened) -> None:
    published = opened.page.locator("tr.published:visible")
    assert published.count() > 50
    opened.page.uncheck("#show-published")
    assert published.count() == 0
    marked = opened.page.locator("[data-marked]:visible")
    assert marked.count() == 2
    opened.page.uncheck("#show-marked")
    assert marked.count() == 0


def test_every_number_tells_where_it_comes_from(opened: Opened) -> None:
    row = opened.page.locator("#b-imagenet_mhead tbody tr", has_text="SimCLR").first
    cell = row.locator(".value").last
    shown = cell.inner_text()
    cell.click()
    dialog = opened.page.locator("dialog[open]")
    assert dialog.locator("h2").inner_text() == "SimCLR: Feature5"
    text = dialog.inner_text()
    assert shown in text
    for part in (
        "Number of seed 0",
        "Number of seed 2",
        "job key",
        "fingerprint",
        "digest",
        "versions",
        "torch: 2.14.0",
    ):
        assert part in text
    assert re.search(r"among the published\s+place \d+ of 15", text)
    # The protocol's own table.
    assert re.search(r"milestones\s+30, 60", text)
    found = [float(number) for number in re.findall(r"value, unrounded\s+([\d.]+) %", text)]
    assert len(found) == 3
    assert f"{sum(found) / 3:.2f}" == shown.split()[0]
    opened.page.keyboard.press("Escape")
    assert dialog.count() == 0
    # The focus is back where it was.
    assert opened.page.evaluate("document.activeElement.textContent") == shown


def test_a_published_number_tells_its_source(opened: Opened) -> None:
    opened.page.locator("#b-voc12aug_fcn tr.published .value").first.click()
    text = opened.page.locator("dialog[open]").inner_text()
    assert "mmselfsup 1.x configs/selfsup/" in text
    opened.page.locator("dialog .close").click()
    assert opened.page.locator("dialog[open]").count() == 0


def test_a_hostile_label_is_text_everywhere(opened: Opened) -> None:
    label = next(name for name in LABELS.values() if "<img" in name)
    assert opened.page.locator("img").count() == 0
    opened.page.locator("#b-voc07_svm tbody tr", has_text="onerror").first.locator(".value").first.click()
    assert opened.page.locator("dialog h2").inner_text().startswith(label)


def background(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_dark_follows_the_system_and_can_be_chosen(browser: Any, address: str) -> None:
    light, dark = (Opened(browser, address, color_scheme=scheme) for scheme in ("light", "dark"))
    paper, ink = background(light.page), background(dark.page)
    assert paper != ink
    light.page.select_option("#theme", "dark")
    assert background(light.page) == ink
    light.page.reload()
    assert background(light.page) == ink
    light.page.select_option("#theme", "light")
    assert background(light.page) == paper
    light.asked = light.asked[:1]
    light.close()
    dark.close()


def test_a_phone_shows_all_without_moving_the_page_sideways(browser: Any, address: str) -> None:
    phone = Opened(browser, address, viewport=PHONE)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    name = phone.page.locator("#b-voc07_svm tbody tr th").first
    place = name.bounding_box()
    phone.page.locator("#b-voc07_svm .scroll").first.evaluate("each => each.scrollLeft = 200")
    # The model's name stays while its numbers move under it.
    assert name.bounding_box() == place
    phone.page.locator("#b-voc07_svm .value").first.click()
    assert phone.page.locator("dialog").bounding_box()["width"] <= PHONE["width"]
    phone.close()


def test_print_hides_what_cannot_be_used_on_paper(browser: Any, address: str) -> None:
    paper = Opened(browser, address)
    paper.page.emulate_media(media="print")
    for hidden in (".controls", "nav"):
        assert not paper.page.locator(hidden).is_visible()
    assert paper.page.locator("#overview tbody tr").first.is_visible()
    assert len(paper.page.pdf(format="A4")) > 20_000
    paper.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("open_dialog", [False, True])
def test_axe_finds_nothing(scheme: str, open_dialog: bool, browser: Any, address: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened = Opened(browser, address, color_scheme=scheme)
    if open_dialog:
        opened.page.locator(".value").first.click()
    found = Axe().run(opened.page).response["violations"]
    assert [(each["id"], each["impact"], each["nodes"][0]["html"][:200]) for each in found] == []
    opened.page.close()


def test_without_scripts_every_number_is_there(browser: Any, address: str) -> None:
    plain = Opened(browser, address, java_script_enabled=False)
    assert plain.page.locator(".value:visible").count() > 300
    assert plain.page.locator("noscript").count() == 1
    plain.close()
