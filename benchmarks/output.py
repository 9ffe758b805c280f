"""Where results go: JSON, the table as text, a figure."""

import importlib.util
import json
import re
from pathlib import Path


def write(results, table, folder):
    """speed-NAME.json and .txt and, for those with a figure and with Matplotlib, .svg; returns the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"speed-{results['command']}"
    paths = [stem.with_suffix(".json"), stem.with_suffix(".txt")]
    text = json.dumps(results, indent=1, ensure_ascii=False)
    innermost = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda found: " ".join(found[0].split()), text)  # on one line each
    paths[0].write_text(innermost + "\n", encoding="utf-8")
    paths[1].write_text(table + "\n", encoding="utf-8")
    if importlib.util.find_spec("matplotlib"):
        from benchmarks import figures

        draw = figures.DRAWN.get(results["command"])
        paths += [draw(results, stem.with_suffix(".svg"))] if draw else []
    return paths
