"""The page of one or several runs: one HTML file that needs nothing else."""

import html
from typing import Any

from ..core.types import Figure
from . import figures, predicted
from .history import History
from .tables import table, to_html

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:72rem;margin:2rem auto;padding:0 1.2rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .6rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #e4e4e4}
th{border-bottom:2px solid #888;font-weight:600}th:first-child,td:first-child{text-align:left;padding-left:0}
table.facts td{text-align:left;vertical-align:top}td pre{margin:0}
.note{color:#666;font-size:.9rem;margin:.4rem 0 0}.scroll{overflow-x:auto}svg{width:100%;height:auto}
pre{background:#f6f6f6;padding:.8rem 1rem;overflow-x:auto;font-size:.85rem}summary{cursor:pointer}
"""


def page(history: History, config: str | None = None, title: str = "dejax", fig: Figure | None = None) -> str:
    """Make a self-contained HTML page: table, figure as inline SVG, facts of each run, config.

    Args:
      history: one or several runs.
      config: text of the resolved config, shown at the end.
      title: heading.
      fig: a figure to show; default: `figure(history)`.
    Returns:
      The page; every text in it is escaped and it refers to no other file or address.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    if history.interrupted:
        parts.append("<p class='note'>Interrupted before its end: these are the numbers so far.</p>")
    parts.append(f"<div class='scroll'>{to_html(table(history))}</div>")
    if figures.drawable(history):
        parts.append(figures.svg(figures.figure(history) if fig is None else fig))
        parts.append(
            "<p class='note'>Local models: each node's own model on the global test set, mean over nodes. Mean model: the "
            "average of all nodes' models. Bytes: directed payload of all nodes so far.</p>"
        )
    parts.append(predicted.section(history))
    if history.facts:
        parts.append("<h2>Runs</h2>" + "".join(_facts(label, facts) for label, facts in history.facts.items()))
    if config:
        parts.append(f"<h2>Config</h2><pre>{html.escape(config)}</pre>")
    body = "\n".join(parts)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _facts(label: str, facts: dict[str, Any]) -> str:
    cell = lambda v: f"<pre>{html.escape(_tree(v))}</pre>" if isinstance(v, dict) else html.escape(_show(v))
    rows = "".join(f"<tr><td>{html.escape(str(k))}</td><td>{cell(v)}</td></tr>" for k, v in facts.items())
    return f"<details><summary>{html.escape(label)}</summary><table class='facts'>{rows}</table></details>"


def _tree(value: Any, depth: int = 0) -> str:
    """Nested facts as indented lines, as a config writes them."""
    lines = []
    for name, inner in value.items():
        head = f"{'  ' * depth}{name}:"
        if isinstance(inner, dict) and inner:
            lines += [head, _tree(inner, depth + 1)]
        elif isinstance(inner, list) and any(isinstance(x, dict) for x in inner):
            lines += [head, *(_tree({"-": x}, depth + 1) for x in inner)]
        else:
            lines.append(f"{head} {_show(inner) if not isinstance(inner, int) else inner}")
    return "\n".join(lines)


def _show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_show(v) for v in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


__all__ = ["page"]
