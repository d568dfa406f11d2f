"""Is static HTML made only of what every viewer keeps?"""

from html.parser import HTMLParser

# What an untrusted JupyterLab 4 keeps (its sanitizer's own list), as far as displays of ours use it.
_KEPT = {
    "a", "b", "br", "code", "details", "div", "img", "pre", "small", "span", "summary", "table", "tbody", "td", "th",
    "thead", "tr", "p",
}  # fmt: skip
_ATTRIBUTES = {"class", "style", "open", "src", "alt", "width", "title", "href"}
_VOID = {"br", "img"}


class _Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []
        self.text = []

    def handle_starttag(self, tag, attributes):
        assert tag in _KEPT, tag
        names = {name for name, _ in attributes}
        assert names <= _ATTRIBUTES, names - _ATTRIBUTES
        for name, value in attributes:
            assert name != "src" or value.startswith("data:image/"), value
            assert name != "href" or ":" not in value, value  # a file beside the notebook, nothing else
            assert "url(" not in (value or ""), value
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def check_static(html):
    """Assert that the HTML is well formed and survives sanitising; give its text."""
    checker = _Checker()
    checker.feed(html)
    checker.close()
    assert not checker.open
    return "".join(checker.text)
