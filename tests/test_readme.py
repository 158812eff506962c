"""The examples of the README and of the pages in docs run, and print what they say they print."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(page, code, id=f"{page.name}-{k}")
    for page in PAGES
    for k, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S))
]


def test_there_are_examples():
    assert len([b for b in BLOCKS if b.id.startswith("README")]) >= 5


@pytest.mark.parametrize(("page", "code"), BLOCKS)
def test_example(page, code):
    promised = re.findall(r"^ *print\(.*\) +# (.*)$", code, flags=re.M)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(page), "exec"), {})
    lines = printed.getvalue().splitlines()
    assert lines
    if promised:
        assert lines == promised
