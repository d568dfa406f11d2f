"""JupyterLab in Chromium: one server and one browser for all tests, a fresh notebook for each."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect
from support.lab import Notebook, chromium, jupyterlab

expect.set_options(timeout=20_000)  # an engine, a kernel and a browser share a busy machine


@pytest.fixture(scope="session")
def engine_root(tmp_path_factory):
    """A data root of its own: the tests neither see nor leave anything of the user's."""
    root = tmp_path_factory.mktemp("engine")
    saved = {name: os.environ.get(name) for name in ("PYDOCK_ROOT", "PYDOCK_HOST", "DOCKER_HOST")}
    os.environ["PYDOCK_ROOT"] = str(root)
    os.environ.pop("PYDOCK_HOST", None)
    os.environ.pop("DOCKER_HOST", None)
    yield root
    from pydockmagic.client import embedded

    embedded.stop()
    for name, value in saved.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(scope="module", autouse=True)
def _no_container_is_left(engine_root):
    """What a test that failed has left would stand in the pictures of the next file's."""
    yield
    from pydockmagic.client import connect, embedded

    if embedded.status().running:
        with connect() as client:
            for container in client.containers(all=True):
                client.container_remove(container["Id"], force=True, volumes=True)


@pytest.fixture(scope="session")
def lab(tmp_path_factory, engine_root):
    with jupyterlab(tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="session")
def browser():
    with chromium() as context:
        yield context


@pytest.fixture
def notebook(browser, lab):
    page = browser.new_page()
    page.set_default_timeout(30_000)
    notebook = Notebook(page, lab)
    yield notebook
    notebook.end_sessions()
    page.close()


@pytest.fixture(scope="session")
def screenshots():
    folder = Path(__file__).resolve().parents[2] / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
