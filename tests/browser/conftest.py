"""Real notebooks in a real browser: a Jupyter server, Chromium, and a notebook for each test."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from live import Live
from pictures import keep

CHROMIUM = os.environ.get("STEPBOOK_CHROMIUM") or shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
APPS = ("lab", "notebook")
START_S = 60
#: Notebook 7 itself logs this while it loads.
KNOWN_PAGE_ERROR = "reading 'schema'"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Skip without a browser, unless a browser is required: then fail. Applications take turns."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.by_turns(1 / len(APPS)))
    if CHROMIUM is not None:
        return
    if os.environ.get("STEPBOOK_REQUIRE_BROWSER") == "1":
        pytest.exit("STEPBOOK_REQUIRE_BROWSER=1, but there is no chromium", returncode=1)
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="needs chromium"))


@pytest.fixture(scope="module")
def browser():
    """Chromium, once for the tests of a file.

    Not for the session: while Playwright runs, its event loop is this thread's running one, and the
    tests behind it could not use ``asyncio.run``.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


class Server:
    """A Jupyter server with settings and a root folder of its own."""

    def __init__(self, app, root):
        self.app, self.root, self.token = app, root, secrets.token_hex(8)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        name = "LabApp" if app == "lab" else "JupyterNotebookApp"
        environment = dict(os.environ, STEPBOOK_BOOK=str(root / "stepbook.duckdb"))
        for variable in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
            environment[f"JUPYTER_{variable}"] = str(root / "jupyter" / variable)
        settings = root / "jupyter" / "settings"
        environment["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
        environment["JUPYTERLAB_WORKSPACES_DIR"] = str(root / "jupyter" / "workspaces")
        environment["IPYTHONDIR"] = str(root / "ipython")
        news = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        news.parent.mkdir(parents=True)
        news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        self.log = (root / "server.log").open("w")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyter",
                app,
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={self.port}",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={self.token}",
                f"--ServerApp.root_dir={root}",
                f"--{name}.expose_app_in_browser=True",
            ],
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert time.monotonic() < deadline, (root / "server.log").read_text()
            time.sleep(0.2)

    def _answers(self):
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/api/status?token={self.token}"
            return urllib.request.urlopen(url, timeout=2).status == 200
        return False

    def url(self, name):
        """Return the address of a notebook."""
        path = f"lab/tree/{name}" if self.app == "lab" else f"notebooks/{name}"
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}&reset"

    def stop(self):
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="session", params=APPS)
def server(request, tmp_path_factory):
    """JupyterLab, then Notebook 7."""
    running = Server(request.param, tmp_path_factory.mktemp(request.param))
    yield running
    running.stop()


#: Wait for the application, the notebook and its kernel; say which of them does not come.
READY = """async (limit) => {
  const end = Date.now() + limit;
  const soon = (what, promise) => {
    const late = new Promise((_, no) => setTimeout(() => no(new Error(`no ${what}`)), limit));
    return Promise.race([promise, late]);
  };
  const until = async (what, ready) => {
    while (!ready()) {
      if (Date.now() > end) throw new Error(`no ${what}`);
      await new Promise(r => setTimeout(r, 50));
    }
  };
  await until("application", () => window.jupyterapp);
  await soon("restored layout", window.jupyterapp.restored);
  const panel = () => window.jupyterapp.shell.currentWidget;
  await until("notebook", () => panel()?.context?.sessionContext);
  await soon("content of the notebook", panel().context.ready);
  await soon("session", panel().context.sessionContext.ready);
  const kernel = () => panel().context.sessionContext.session?.kernel;
  await until("kernel", kernel);
  await soon("answer of the kernel", kernel().info);
  await until("idle kernel", () => kernel().status === "idle");
}"""
READY_MS = 90_000


class Notebook:
    """One notebook in one page."""

    def __init__(
        self,
        server,
        browser,
        cells,
        *,
        theme=None,
        size=(1000, 900),
        kernel="python3",
        prepare=None,
    ):
        self.server = server
        self.name = f"{secrets.token_hex(4)}.ipynb"
        self.path = Path(server.root) / self.name
        self.path.write_text(json.dumps(_notebook(cells, kernel)))
        if prepare is not None:
            prepare(self.path)
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self.errors, self.requests = [], []
        self.page = self._open()
        if theme is not None:
            self.command("apputils:change-theme", {"theme": theme})
            self.page.wait_for_function(
                "name => document.body.dataset.jpThemeName === name", arg=theme
            )

    def _open(self):
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self.server.url(self.name))
        page.evaluate(READY, READY_MS)
        return page

    def command(self, name, arguments=None):
        """Execute a command of the application and wait for its end."""
        return self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments or {}],
        )

    def start(self, name):
        """Begin a command without waiting for its end; `ended` tells when it has."""
        self.page.evaluate(
            """name => { window.ended = false;
                window.jupyterapp.commands.execute(name).then(() => { window.ended = true; }); }""",
            name,
        )

    def run_all(self):
        """Execute all cells."""
        self.command("notebook:run-all-cells")

    def run_cell(self, index):
        """Execute one cell."""
        self.page.evaluate(
            "index => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = index; }",
            index,
        )
        self.command("notebook:run-cell")

    def reload(self):
        """Load the page again."""
        self.page.reload()
        self.page.evaluate(READY, READY_MS)

    def save(self):
        """Save, and return the file's content."""
        self.command("docmanager:save")
        return json.loads(self.path.read_text())

    @property
    def timeline(self):
        """The live timeline."""
        return self.page.locator(".sb-root")

    def rows(self):
        """Return the names of the rows that are in the page."""
        return self.timeline.locator(".sb-name").all_text_contents()

    def keep(self, name):
        """Keep a picture of the page; see `keep`."""
        keep(self.page, f"{self.server.app}-{name}")

    def close(self):
        """Close the page and end the kernel; nothing may have gone wrong in it."""
        unknown = [error for error in self.errors if KNOWN_PAGE_ERROR not in error]
        outside = [
            url
            for url in self.requests
            if f"127.0.0.1:{self.server.port}" not in url and not url.startswith(("data:", "blob:"))
        ]
        kernel = "sessionContext.session?.kernel?.shutdown()"
        with contextlib.suppress(Exception):
            self.page.evaluate(f"window.jupyterapp.shell.currentWidget.context.{kernel}")
        self.context.close()
        assert not unknown
        assert not outside


def _notebook(cells, kernel):
    return {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{index}",
                "source": source,
                "metadata": {},
                "outputs": [],
                "execution_count": None,
            }
            for index, source in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"name": kernel, "display_name": "Python 3", "language": "python"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


@pytest.fixture
def notebook(server, browser):
    """Make a notebook from the sources of its cells, opened in the browser."""
    made = []

    def make(*cells, **options):
        made.append(Notebook(server, browser, cells, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def live(browser):
    """Show a run in a page without Jupyter; nothing may go wrong in it."""
    contexts, errors = [], []

    def show(rows=(), *, size=(900, 700), **options):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(5_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        return Live(page, rows, **options)

    yield show
    for context in contexts:
        context.close()
    assert errors == []
