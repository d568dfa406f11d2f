import gzip
import json
import re

from support.markup_check import check_static
from support.samples import BASE, CONTAINER_STACK, RUN, STACK, files

from pydockmagic.notebook.widgets.layers import LayersView, described, place
from pydockmagic.notebook.widgets.layers_live import LayersWidget, pack
from pydockmagic.notebook.widgets.records import Layer


def view(**more):
    return LayersView("web:latest", STACK, {BASE: files(12, 400), RUN: files(3)}, "embedded engine", **more)


def test_the_last_layer_is_on_top():
    lines = str(view()).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1MB", "-", "2MB"]


def test_text_tells_size_instruction_lines_sharing_and_waste():
    assert str(view()).splitlines() == [
        "web:latest: 2 layers, 3MB, 400kB wasted",
        "    1MB ████████         RUN <b>make</b> & install" + " " * 36 + "lines 3-5, 400kB wasted",
        "      -                  ENV A=1" + " " * 54 + "line 2",
        "    2MB ████████████████ FROM busybox" + " " * 49 + "line 1, shared with busybox:latest",
    ]


def test_html_survives_every_sanitizer_and_escapes_what_it_shows():
    text = check_static(view().html())
    assert "RUN <b>make</b> & install" in text
    assert "shared with busybox:latest" in text
    assert "and 388 smaller" in text


def test_changes_are_told_by_letters_and_words_not_by_colour():
    html = view().html()
    for letter, word in (("A", "added"), ("C", "changed")):
        assert f"<b>{letter}</b>" in html
        assert word in html


def test_a_container_shows_its_writable_layer_on_top():
    lines = str(LayersView("container shop", CONTAINER_STACK)).splitlines()
    assert lines[1].split() == ["12B", "▏", "writable", "layer", "of", "the", "container", "writable,", "gone", "with",
                                "the", "container"]  # fmt: skip


def test_displays_are_the_same_in_every_run():
    assert view().html() == view().html()
    assert view().token == view().token
    assert LayersView("other", STACK).token != view().token


def test_two_notebooks_that_look_at_the_same_thing_have_displays_of_their_own(monkeypatch):
    alone = view().token
    monkeypatch.setenv("JPY_SESSION_NAME", "/course/one.ipynb")  # set by a Jupyter server for its kernels
    one = view().token
    assert one == view().token != alone
    monkeypatch.setenv("JPY_SESSION_NAME", "/course/two.ipynb")
    assert view().token not in (one, alone)


def test_an_instruction_reads_as_in_the_dockerfile_even_from_docker_history():
    assert described(Layer(created_by='/bin/sh -c #(nop)  CMD ["sh"]')) == 'CMD ["sh"]'
    assert described(Layer(created_by="/bin/sh -c make")) == "RUN make"
    assert described(Layer(created_by="/bin/sh -c make", instruction="RUN make")) == "RUN make"


def test_lines_are_one_or_several_or_unknown():
    assert place(Layer(first_line=3, last_line=3)) == "line 3"
    assert place(Layer(first_line=3, last_line=5)) == "lines 3-5"
    assert place(Layer()) == ""


def test_a_packed_listing_holds_every_file():
    data = json.loads(gzip.decompress(pack(files(7))))
    assert data["total"] == 7
    assert data["path"][0] == "/usr/lib/file0"
    assert data["change"] == "AACADCA"
    assert data["target"] == {"1": "elsewhere"}


def test_a_hundred_thousand_files_travel_small():
    assert len(pack(files(100_000))) < 700_000


def test_the_live_view_reads_the_files_that_the_first_page_lacks():
    asked = []

    def read(layer, limit):
        asked.append((layer.chain_id, limit >= 100_000))
        return files(400)

    widget = LayersWidget(view(), read)
    assert widget.complete.wait(10)
    assert asked == [(BASE, True)]
    assert set(widget.files) == {"0", "2"}
    assert widget.problem == ""
    widget.close()


def test_what_goes_wrong_while_reading_is_shown_in_the_view():
    def read(layer, limit):
        raise OSError("the engine went away")

    widget = LayersWidget(view(), read)
    assert widget.complete.wait(10)
    assert widget.problem == "the engine went away"
    widget.close()


def test_text_of_a_widget_holds_no_address():
    widget = LayersWidget(view())
    data, _ = widget._repr_mimebundle_()
    assert data["text/plain"] == str(view())
    assert not re.search(r"0x[0-9a-f]{6,}", repr(widget))
    widget.close()
