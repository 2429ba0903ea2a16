"""`python -m tools.docs`: write every generated file that is not current, and remove what is no longer made."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.docs import pages

ROOT = Path(__file__).parents[2]
GENERATED = ("docs/reference", "schemas")


def main() -> None:
    """Bring the generated files up to date, and name those that were not."""
    made = pages()
    for folder in GENERATED:
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
        for path in (ROOT / folder).iterdir():
            name = path.relative_to(ROOT).as_posix()
            if name not in made:
                path.unlink()
                sys.stdout.write(f"removed {name}\n")
    for name, text in made.items():
        path = ROOT / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")


if __name__ == "__main__":
    main()
