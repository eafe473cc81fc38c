"""Pages we ship: plain HTML with one style sheet inside, no script, nothing from elsewhere."""

import base64
import hashlib
from html import escape

from api.calls import Answer

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem 1rem 4rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; margin-top: 2.5rem; } h3 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
code, pre { font-family: ui-monospace, Consolas, monospace; font-size: .9rem; }
pre { overflow-x: auto; padding: .6rem .8rem; border: 1px solid #8886; border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
nav li { list-style: none; } nav ul { padding-left: 0; }
.soft { opacity: .75; } .big { font-size: 1.25rem; }
"""
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def page(title: str, body: str) -> Answer:
    """A whole page. `title` is text, `body` is HTML whose texts are already escaped."""
    document = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    return Answer(document.encode(), 200, "text/html; charset=utf-8", {"Content-Security-Policy": _POLICY})
