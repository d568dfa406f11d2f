"""The kernel against jupyter_kernel_test, the outside check of Jupyter's message protocol."""

import json
import sys
from pathlib import Path

import jupyter_kernel_test
import pytest

SPEC = Path(__file__).resolve().parents[2] / "kernelspec" / "kernel.json"

pytestmark = pytest.mark.filterwarnings("default")  # what Jupyter's own client warns of is not ours to fix


@pytest.fixture(scope="class", autouse=True)
def _kernelspec(tmp_path_factory):
    """Find the kernelspec of this checkout, whatever is installed."""
    data = tmp_path_factory.mktemp("jupyter")
    folder = data / "kernels" / "pydockmagic"
    folder.mkdir(parents=True)
    spec = json.loads(SPEC.read_text())
    spec["argv"][0] = sys.executable
    (folder / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(data))
        patch.setenv("IPYTHONDIR", str(data / "ipython"))
        patch.setattr(jupyter_kernel_test, "SkipTest", NoSampleError)
        yield


class NoSampleError(AssertionError):
    """What the outside check raises instead of skipping: a test of its that finds no sample here fails."""


class TestDockerKernel(jupyter_kernel_test.KernelTests):
    kernel_name = "pydockmagic"
    language_name = "dockerfile"
    file_extension = ".dockerfile"
    code_hello_world = "%%python\nprint('hello, world')"
    code_generate_error = "nosuchcommand"
    code_execute_result = ({"code": "%%python\n6 * 7", "result": "42"},)
    code_display_data = (
        {"code": "%%python\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))", "mime": "text/html"},
    )
    completion_samples = (
        {"text": "contai", "matches": {"container"}},
        {"text": "docker image pru", "matches": {"prune"}},
        {"text": "run --restart un", "matches": {"unless-stopped"}},
        {"text": "FROM busybox AS build\nWORK", "matches": {"WORKDIR "}},
        {"text": "FROM busybox AS build\nFROM scratch\nCOPY --from=b", "matches": {"--from=build"}},
    )
    complete_code_samples = ("ps -a", "%%python\nx = 1")
    incomplete_code_samples = ("run --rm \\",)
    code_history_pattern = "*6 ? 7"
    supported_history_operations = ("tail", "search", "range")
    code_stderr = "%%python\nimport sys\nprint('oops', file=sys.stderr)"
    code_clear_output = "%%python\nfrom IPython.display import clear_output\nclear_output()"
    code_inspect_sample = "docker run"
    code_page_something = "%docker?"


class TestWelcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "pydockmagic"
    support_iopub_welcome = True
