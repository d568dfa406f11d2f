"""A shell without a kernel, and displays caught as they are published."""

from contextlib import contextmanager

import pytest
from IPython.core.interactiveshell import InteractiveShell


class Captured:
    def __init__(self):
        self.displays = []
        self.results = []

    def texts(self):
        return [each["data"].get("text/plain", "") for each in self.displays]


@pytest.fixture(scope="session")
def _shell(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        shell = InteractiveShell.instance()
        shell.history_manager.enabled = False
        yield shell
        InteractiveShell.clear_instance()


@pytest.fixture
def shell(_shell):
    """The shell with our magics, which are taken away again."""
    _shell.run_line_magic("load_ext", "pydockmagic")
    yield _shell
    _shell.run_line_magic("unload_ext", "pydockmagic")
    _shell.reset()


@pytest.fixture
def capture(_shell, monkeypatch):
    captured = Captured()

    @contextmanager
    def capturing():
        def publish(data, metadata=None, transient=None, update=False, **_more):
            captured.displays.append({"data": data, "transient": transient or {}, "update": update})

        with monkeypatch.context() as patch:
            patch.setattr(_shell.display_pub, "publish", publish)
            yield captured

    return capturing()
