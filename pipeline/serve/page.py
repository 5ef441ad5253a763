"""The page at /: one file of HTML, style and script, and the policy that lets a browser load nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

PAGE_FILE: Final = Path(__file__).with_name("page.html")


def build_page() -> tuple[str, str]:
    """Return the page, and its Content-Security-Policy, which names the hashes of its style and script."""
    page = PAGE_FILE.read_text("utf-8")
    hashes = {
        tag: " ".join(_hash_source(text) for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
        for tag in ("style", "script")
    }
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hash_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
