"""papermill's parameters, as a notebook of the Docker kernel has them."""

from papermill.translators import papermill_translators

from pydockmagic.kernel.cells import kind_of, translated
from pydockmagic.kernel.parameters import DockerTranslator


def test_papermill_finds_our_translator_by_the_name_of_the_kernel():
    assert papermill_translators.find_translator("pydockmagic", "dockerfile") is DockerTranslator


def test_parameters_are_a_python_cell():
    given = {"name": 'it\'s "web"\n', "count": 3, "ports": [80, None], "on": True}
    code = DockerTranslator.codify(given)
    assert kind_of(code) == "python"
    found = {}
    exec(translated(code), found)
    assert {name: found[name] for name in given} == given


def test_parameters_are_read_from_such_a_cell():
    cell = {"source": "%%python\nname: str = 'web'  # of the container\ncount = 3\n"}
    found = DockerTranslator.inspect(cell)
    assert [each.name for each in found] == ["name", "count"]
    assert found[0].help == "of the container"
