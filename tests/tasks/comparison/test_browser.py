"""The page in a real browser: what a person does with it, at a desk and on a phone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.report import write
from tests.browser import chromium
from tests.doubles.patience import wait_until
from tests.doubles.synthetic_runs import DatasetFactory

pytestmark = pytest.mark.browser
selenium = pytest.importorskip(
    "selenium", reason="selenium drives the browser: pip install -e .[dev]"
)

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

DESK, PHONE = (1440, 900), (390, 844)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs with hostile text, a failed and a cut-off answer; two runs on a second dataset."""
    root = tmp_path_factory.mktemp("page")
    home = Home(root / "home")
    docs = DatasetFactory(home, questions=300, images=30, hostile=True)
    charts = DatasetFactory(home, name="charts", questions=20, images=5, seed=5)
    runs = [
        docs.run("alpha"),
        docs.run("beta", skill=0.5, seed=2, failed=[3], truncated=[7]),
        docs.run("gamma", seed=3),
        charts.run("alpha"),
        charts.run("beta", seed=2),
    ]
    return write(compare(runs), root / "out", home.images, page_bytes=1_300_000).page


Open = Callable[..., webdriver.Chrome]


@pytest.fixture
def opened(browser: webdriver.Chrome, page: Path) -> Iterator[Open]:
    def open_page(size: tuple[int, int] = DESK, dark: bool = False) -> webdriver.Chrome:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500},
        )
        browser.get(page.as_uri())
        browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
        return browser

    browser.get_log("browser")
    yield open_page
    assert browser.get_log("browser") == [], "the console stays silent"
    assert browser.execute_script("return window.hacked") is None


def text(driver: webdriver.Chrome, selector: str) -> str:
    return str(driver.find_element(By.CSS_SELECTOR, selector).text)


def shown(driver: webdriver.Chrome) -> int:
    return int(text(driver, "#count").split()[0].replace(",", ""))


def choose(driver: webdriver.Chrome, name: str, label: str) -> None:
    Select(driver.find_element(By.ID, name)).select_by_visible_text(label)


def press(driver: webdriver.Chrome, *keys: str) -> None:
    driver.switch_to.active_element.send_keys(*keys)


def questions(driver: webdriver.Chrome) -> list[str]:
    script = "return [...document.querySelectorAll('.row p')].map((p) => p.textContent)"
    found: list[str] = driver.execute_script(script)
    return found


def selected(driver: webdriver.Chrome, attribute: str) -> str:
    """An attribute of the selected row, read in one go: rows are drawn anew on scrolling."""
    script = "return document.querySelector('[aria-selected=true]').getAttribute(arguments[0])"
    return str(driver.execute_script(script, attribute))


def open_first(driver: webdriver.Chrome) -> None:
    """Clicks the first row, wherever it is drawn by then."""
    for _ in range(20):
        try:
            driver.find_element(By.CSS_SELECTOR, ".row").click()
            return
        except StaleElementReferenceException:
            time.sleep(0.02)


def eventually(check: Callable[[], Any]) -> None:
    wait_until(check, "the page has changed")


@pytest.mark.parametrize("size", [DESK, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_page_fits_the_screen_in_light_and_dark(
    opened: Open, size: tuple[int, int], dark: bool
) -> None:
    driver = opened(size, dark)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= size[0]
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark
    assert "Alpha" in text(driver, "h1")


def test_starts_with_the_disagreements_and_the_filters_narrow(opened: Open) -> None:
    driver = opened()
    start = shown(driver)
    assert 0 < start < 300
    choose(driver, "who", "all questions")
    assert text(driver, "#count") == "300 questions"
    choose(driver, "type", "form")
    form = shown(driver)
    assert 0 < form < 300
    choose(driver, "who", "only A right: Alpha")
    assert shown(driver) < form
    driver.find_element(By.ID, "reset").click()
    assert shown(driver) == 300


def test_failed_and_cut_off_answers_can_be_found(opened: Open) -> None:
    driver = opened()
    choose(driver, "who", "no answer (failed)")
    assert shown(driver) == 1
    press(driver, Keys.ESCAPE)
    open_first(driver)
    assert "too long: 9,000 tokens" in text(driver, "#detail")
    choose(driver, "who", "answer cut off")
    assert shown(driver) == 1


def test_search_finds_text_in_questions_golds_and_answers(opened: Open) -> None:
    driver = opened()
    choose(driver, "who", "all questions")
    driver.find_element(By.ID, "search").send_keys("item 123?")
    eventually(lambda: shown(driver) == 1)
    press(driver, Keys.ENTER, Keys.ENTER)
    assert text(driver, "#detail h3").startswith("What is the")
    assert driver.find_elements(By.CSS_SELECTOR, "#detail h3 mark")
    driver.find_element(By.ID, "search").send_keys(" nowhere")
    eventually(lambda: shown(driver) == 0)
    assert "No question fits" in text(driver, "#list")


def test_sorting_puts_the_largest_difference_first(opened: Open) -> None:
    driver = opened()
    choose(driver, "who", "all questions")
    in_order = questions(driver)
    choose(driver, "sort", "largest difference first")
    assert questions(driver) != in_order
    open_first(driver)
    found = driver.find_elements(By.CSS_SELECTOR, "#detail .score")
    scores = {mark.text.split()[-1] for mark in found}
    assert {"0", "100"} <= scores


def test_keys_walk_open_close_and_search(opened: Open) -> None:
    driver = opened()
    press(driver, "j")
    assert selected(driver, "aria-posinset") == "1"
    press(driver, "jj", Keys.ARROW_DOWN, "k")
    assert selected(driver, "aria-posinset") == "3"
    listed = driver.find_element(By.ID, "list")
    assert listed.get_attribute("aria-activedescendant") == "row-2"
    press(driver, Keys.ENTER)
    assert driver.switch_to.active_element.get_attribute("id") == "detail"
    assert text(driver, "#detail .bar span").startswith("3 of ")
    press(driver, "j")
    assert text(driver, "#detail .bar span").startswith("4 of ")
    press(driver, Keys.ESCAPE)
    assert driver.switch_to.active_element.get_attribute("id") == "list"
    press(driver, Keys.END)
    assert selected(driver, "aria-posinset") == selected(driver, "aria-setsize")
    press(driver, "/")
    assert driver.switch_to.active_element.get_attribute("id") == "search"
    press(driver, "jj")
    assert driver.switch_to.active_element.get_attribute("value") == "jj", "typing is typing"


def test_focus_can_be_seen(opened: Open) -> None:
    driver = opened()
    press(driver, Keys.TAB, Keys.TAB)
    style = "return getComputedStyle(document.activeElement).outlineStyle"
    assert driver.execute_script(style) == "solid"


def test_only_the_rows_in_sight_are_in_the_document(opened: Open) -> None:
    driver = opened()
    choose(driver, "who", "all questions")
    assert len(questions(driver)) < 60
    driver.execute_script("document.getElementById('list').scrollTop = 150 * 66")
    eventually(lambda: any("item 150?" in question for question in questions(driver)))
    assert len(questions(driver)) < 60


def test_a_cell_of_the_matrix_opens_its_questions(opened: Open) -> None:
    driver = opened()
    cell = driver.find_element(By.CSS_SELECTOR, ".cell.run:not([disabled])")
    expected = int(cell.text)
    driver.execute_script("arguments[0].scrollIntoView()", cell)
    cell.click()
    assert shown(driver) == expected
    assert cell.get_attribute("aria-pressed") == "true"
    driver.find_element(By.CSS_SELECTOR, "#cell-filter button").click()
    assert shown(driver) == 300


def test_datasets_can_be_switched(opened: Open) -> None:
    driver = opened()
    Select(driver.find_element(By.ID, "dataset")).select_by_index(1)
    choose(driver, "who", "all questions")
    assert shown(driver) == 20


def test_image_is_shown_where_the_page_holds_it_and_named_where_not(opened: Open) -> None:
    driver = opened()
    choose(driver, "who", "all questions")
    driver.find_element(By.ID, "pictured").click()
    held = shown(driver)
    assert 0 < held < 300
    open_first(driver)
    image = driver.find_element(By.CSS_SELECTOR, "#detail img")
    width = "return arguments[0].complete && arguments[0].naturalWidth"
    eventually(lambda: driver.execute_script(width, image) > 100)
    image.click()
    assert "large" in (image.get_attribute("class") or "")


def test_hostile_answers_are_shown_as_text(opened: Open) -> None:
    driver = opened()
    open_first(driver)
    assert "<script>window.hacked=1</script>" in text(driver, "#detail pre")
    assert not driver.find_elements(By.CSS_SELECTOR, "#detail pre script, #detail pre img")


def test_on_a_phone_a_question_opens_over_the_list_and_closes_again(opened: Open) -> None:
    driver = opened(PHONE)
    detail = driver.find_element(By.ID, "detail")
    assert not detail.is_displayed()
    driver.execute_script("document.getElementById('gallery').scrollIntoView()")
    open_first(driver)
    assert detail.is_displayed()
    assert detail.size["width"] == PHONE[0]
    assert detail.get_attribute("aria-modal") == "true"
    driver.find_element(By.CSS_SELECTOR, "#detail button[aria-label='Next question']").click()
    assert text(driver, "#detail .bar span").startswith("2 of ")
    driver.find_element(By.CSS_SELECTOR, "#detail .close").click()
    assert not detail.is_displayed()
    assert driver.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]


def test_every_control_has_a_name(opened: Open) -> None:
    driver = opened()
    script = """
      const named = (node) => (node.getAttribute('aria-label') || node.labels?.[0]?.textContent
        || node.textContent).trim();
      return [...document.querySelectorAll('button, select, input, [role=img], [tabindex="0"]')]
        .filter((node) => !named(node)).map((node) => node.outerHTML);
    """
    assert driver.execute_script(script) == []
