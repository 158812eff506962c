"""What every example shares: the options --out and --quick, and pictures without a screen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

try:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
except ModuleNotFoundError:
    sys.exit("the examples draw with matplotlib: pip install 'wengert[examples]'")


def options(about: str, **defaults: int) -> argparse.Namespace:
    """The command line: --out and --quick, and an option for a whole number per keyword."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that it runs")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help="a whole number")
    return parser.parse_args()


def panels(columns: int, width: float = 5.2, height: float = 4.2) -> tuple[Any, Any]:
    """A figure with panels side by side."""
    return pyplot.subplots(1, columns, figsize=(columns * width, height), layout="constrained", squeeze=True)


def save(figure: Any, folder: Path, name: str) -> None:
    """Write the picture and say where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(f"picture: {path}")
