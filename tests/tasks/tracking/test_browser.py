"""MLflow's own pages in a real browser, as our links open them.

The saved views, the table's column order and the traces' form rest on how MLflow's interface reads
what is logged; nothing but looking at it shows that a new version reads it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.servers.launcher import free_port
from pixtrack.tasks.tracking import links, log_run
from pixtrack.tasks.tracking.connection import local_uri
from pixtrack.tasks.tracking.server import serve
from pixtrack.tasks.tracking.traces import OUTCOME
from tests.browser import chromium
from tests.doubles.finished_runs import finished_run
from tests.doubles.synthetic_runs import DatasetFactory

pytestmark = [pytest.mark.browser, pytest.mark.server]
selenium = pytest.importorskip(
    "selenium", reason="selenium drives the browser: pip install -e .[dev]"
)

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

PATIENCE_SECONDS = 40


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), "--window-size=1800,1000") as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(home: Home) -> Iterator[dict[str, str]]:
    """Links into a real server over two runs of one dataset."""
    port = free_port(0)
    docs = DatasetFactory(home, questions=30, images=8, pixels=(200, 260))
    runs = [finished_run(docs, "alpha", skill=0.2), finished_run(docs, "beta", skill=2.0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXTRACK_UI_PORT", str(port))
        for run in runs:
            log_run(run, home.images)
        with serve(local_uri(home), port, home.root / "ui.log"):
            yield links(runs[0])


def shown(browser: webdriver.Chrome, link: str, *texts: str) -> str:
    """The page's text in words, once every one of `texts` is on it."""
    browser.get("about:blank")  # the next address may differ behind the # alone
    browser.get(link)

    def all_there(driver: webdriver.Chrome) -> str:
        page = " ".join(driver.find_element(By.TAG_NAME, "body").text.split())
        return page if all(text in page for text in texts) else ""

    try:
        return str(WebDriverWait(browser, PATIENCE_SECONDS).until(all_there))
    except Exception:
        page = " ".join(browser.find_element(By.TAG_NAME, "body").text.split())
        pytest.fail(f"{link}: {[t for t in texts if t not in page]} not on the page: {page[:1500]}")


def test_run_list_opens_with_scores_and_the_best_run_first(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    page = shown(browser, pages["runs"], "headline", "Beta · short", "Alpha · short")
    assert page.index("Beta · short") < page.index("Alpha · short")
    assert "Sort: headline" in page


def test_charts_open_with_the_scores_first(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    page = shown(browser, pages["charts"], "Scores (0-100)", "docvqa_val/anls", "Speed")
    assert page.index("Scores (0-100)") < page.index("Speed")
    assert "docvqa_val/anls_ci_low" not in page


def test_table_lines_two_runs_up_by_question_and_compares_predictions(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    shown(
        browser,
        pages["table"],
        *(
            "Table: predictions.json",
            "Group by: question and gold",
            "Compare: prediction and score",
            "q0",
        ),
        *("Beta · short docvqa_val", "Alpha · short docvqa_val"),  # a column each
    )


def test_run_page_opens_with_the_verdict(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    page = shown(browser, pages["run"], "95% CI", "Description")
    assert "question by question, beside other runs" in page
    assert "mlflow.pixtrack" not in page


def test_trace_viewer_shows_question_answer_golds_outcome_and_the_image(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    shown(browser, pages["traces"], "What is the", "Expected output", OUTCOME)
    links_ = browser.find_elements(By.XPATH, "//*[starts-with(text(), 'What is the')]")
    links_[0].click()

    def page_image(driver: webdriver.Chrome) -> bool:
        widths = driver.execute_script("return [...document.images].map(i => i.naturalWidth)")
        return any(width in (100, 200, 400) for width in widths)  # the factory's page sizes

    WebDriverWait(browser, PATIENCE_SECONDS).until(page_image)
    assert "prediction" in browser.find_element(By.TAG_NAME, "body").text


def test_leaderboard_has_a_column_a_dataset(
    browser: webdriver.Chrome, pages: dict[str, str]
) -> None:
    page = shown(browser, pages["leaderboard"], "Headline of every dataset", "docvqa_val/anls")
    assert "Beta · short" in page
