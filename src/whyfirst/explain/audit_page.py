"""An audit as one HTML file that runs nothing and asks the network for nothing.

Every string passes `safe_text` and jinja2's autoescape; the one style sheet is allowed by its hash.
Leaves out: measuring (`audit.py`).
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from whyfirst.config.files import atomic_write, write_json
from whyfirst.config.text import safe_text


def save_audit(report: Mapping[str, Any], folder: Path) -> Path:
    """Write ``audit.json`` and ``audit.html``; gives the page's path."""
    write_json(folder / "audit.json", report)
    page = folder / "audit.html"
    atomic_write(page, audit_html(report))
    return page


def audit_html(report: Mapping[str, Any]) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("whyfirst.explain"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Controls and bidi overrides become visible in every printed string.
        finalize=lambda value: (
            safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    css = Path(__file__).with_name("templates").joinpath("audit.css").read_text(encoding="utf-8")
    digest = b64encode(sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    # The darkest cell of the table is the fullest one.
    counts = [n for entry in report["coverage"]["behaviours"] for n in entry["genres"]]
    template = environment.get_template("audit.html.j2")
    # The style sheet ships with the program and holds no data; it must stay unescaped.
    return template.render(a=report, css=Markup(css), policy=policy, most=max(1, *counts, 1))
