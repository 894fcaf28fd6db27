"""Check a built site: pages are there, links inside it resolve, nothing is fetched from elsewhere when a page opens.

python scripts/check_site.py site
"""

import re
import sys
from pathlib import Path
from urllib.parse import unquote


def problems(site: Path) -> list[str]:
    """What is wrong, one line each; empty when all is well."""
    pages = sorted(site.rglob("*.html"))
    found = [] if len(pages) > 10 else [f"only {len(pages)} pages under {site}"]
    for page in pages:
        text = page.read_text(errors="replace")
        for tag in re.findall(r"<(?:script|img|link|iframe)\b[^>]*>", text):
            source = re.search(r'(?:src|href)="((?:https?:)?//[^"]+)"', tag)
            if source and "canonical" not in tag:
                found.append(f"{page}: loads {source[1]}")
        if page.name == "404.html":
            continue
        for link in re.findall(r'<a\b[^>]*\bhref="([^"#?]+)', text):
            if re.match(r"[a-z]+:|//|/", link):
                continue
            target = page.parent / unquote(link)
            if not (target.is_file() or (target / "index.html").is_file()):
                found.append(f"{page}: no {link}")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1] if len(sys.argv) > 1 else "site"))
    print("\n".join(sorted(set(wrong))) or "site: all links resolve, nothing is loaded from elsewhere")
    sys.exit(bool(wrong))
