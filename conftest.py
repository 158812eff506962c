"""The doctests of a room whose library is not installed are left out."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("matplotlib") else ["src/wengert/plots.py"]
