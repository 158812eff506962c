"""The examples in the README and in docs/ run, and print what they say they print."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from wengert.errors import MissingLibraryError

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(page.name, code, id=f"{page.stem} {k}")
    for page in PAGES
    for k, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S))
]


def test_there_are_examples():
    names = [block.values[0] for block in BLOCKS]
    assert names.count("README.md") >= 5
    assert names.count("nn.md") >= 5


@pytest.mark.parametrize(("page", "code"), BLOCKS)
def test_example(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where pictures are written
    promised = re.findall(r"^ *print\(.*\) +# (.*)$", code, flags=re.M)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(code, page, "exec"), {})
        except MissingLibraryError as error:
            pytest.skip(str(error))
    lines = printed.getvalue().splitlines()
    assert lines
    if promised:
        assert lines == promised
