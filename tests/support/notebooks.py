"""Notebooks for browser tests, and pictures of what they show."""

import nbformat


def write_notebook(folder, cells, name="cells.ipynb"):
    """Write a Python notebook with these cells, and give its path."""
    made = [nbformat.v4.new_code_cell(code) for code in cells]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / name
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec}), path)
    return path


def shoot(notebook, folder, **displays):
    """Take pictures of displays, by name, in the light and in the dark theme."""
    size = notebook.page.viewport_size
    notebook.page.set_viewport_size({"width": 1280, "height": 2000})
    for theme, shade in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
        notebook.theme(theme)
        for name, locator in displays.items():
            locator.scroll_into_view_if_needed()
            locator.screenshot(path=folder / f"{name}-{shade}.png", animations="disabled")
    notebook.page.set_viewport_size(size)
