"""Where results go: JSON, the table as text, a figure."""

import json
from pathlib import Path


def write(results, table, folder, draw=None):
    """speed-NAME.json and .txt and, with `draw` and Matplotlib, .svg; returns the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"speed-{results['command']}"
    paths = [stem.with_suffix(".json"), stem.with_suffix(".txt")]
    paths[0].write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    paths[1].write_text(table + "\n", encoding="utf-8")
    if draw is not None:
        paths.append(draw(results, stem.with_suffix(".svg")))
    return paths
