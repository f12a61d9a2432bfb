"""Makes the README's pictures from the real thing: `make screenshots` after `make eval` and `make study`.

Opens the newest run in MLflow and Prefect and the newest comparison in headless Chromium, and
writes docs/images/*.png. Needs Chromium and its driver (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pixtrack.configs.paths import home
from pixtrack.tasks.comparison import resolve_run
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.servers.launcher import free_port, running
from pixtrack.tasks.servers.login import login
from pixtrack.tasks.servers.prefect_server import prefect_server
from pixtrack.tasks.tracking import links, tracking_uri
from pixtrack.tasks.tracking.server import serve

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT = 1440, 1000
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}",
)  # fmt: skip

CLOSE_PANELS = """
for (const button of document.querySelectorAll('button[aria-label^="Close"]')) button.click();
"""
"""MLflow opens an assistant beside every page, and Prefect advertises: neither is ours to show."""

LOG_IN = "localStorage.setItem('prefect-password', arguments[0])"
"""Where Prefect's pages keep the login that a person types once."""


def browser(profile: str) -> webdriver.Chrome:
    """Headless Chromium with a new, empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    driver = shutil.which("chromedriver")
    if not options.binary_location or not driver:
        sys.exit("screenshots: Chromium and chromedriver are needed (Debian: chromium-driver)")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(driver))


def picture(driver: webdriver.Chrome, address: str, name: str, settle_seconds: float = 8) -> None:
    """Opens a page, gives its scripts time to draw, and keeps what a person would see."""
    driver.get(address)
    time.sleep(settle_seconds)
    driver.execute_script(CLOSE_PANELS)
    time.sleep(1)
    driver.save_screenshot(str(IMAGES / name))
    print(f"{name}: {address}")


def newest_page(comparisons: Path) -> Path | None:
    """The page of the comparison that was written last."""
    pages = sorted(comparisons.glob("*/*.html"), key=lambda page: page.stat().st_mtime)
    return pages[-1] if pages else None


def main() -> None:
    """Takes every picture for which there is something to show."""
    IMAGES.mkdir(exist_ok=True)
    reference = sys.argv[1] if len(sys.argv) > 1 else "latest"
    run = RunDirectory(resolve_run(reference, home(), scored=True).directory.path)
    record = run.read_record()
    assert record is not None
    with ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory())
        port = free_port(5055)
        os.environ["PIXTRACK_UI_PORT"] = str(port)
        stack.enter_context(serve(tracking_uri(), port, home().root / "mlflow-ui.log"))
        prefect = free_port(4255)
        log = home().root / "prefect-ui.log"
        stack.enter_context(running(prefect_server(home(), prefect, log, pages=True)))
        driver = browser(profile)
        stack.callback(driver.quit)
        page = newest_page(home().comparisons)
        if page is not None:
            picture(driver, page.as_uri(), "compare.png", 3)
        where = links(run)
        picture(driver, where["run"], "mlflow-run.png")
        picture(driver, where["charts"], "mlflow-charts.png")
        picture(driver, where["traces"], "mlflow-traces.png")
        address = f"http://127.0.0.1:{prefect}/runs"
        if record.prefect_flow_run_id:
            address = f"{address}/flow-run/{record.prefect_flow_run_id}"
        driver.get(address)
        driver.execute_script(LOG_IN, base64.b64encode(login(home()).encode()).decode())
        picture(driver, address, "prefect-flow-run.png")


if __name__ == "__main__":
    main()
