"""`python -m bench [--quick] [NAME…]`: every bench one after another, a table of bars, and each bench's JSON line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import kit


def names() -> list[str]:
    """The benches that exist: every module here that can be run by itself."""
    here = Path(__file__)
    runs = '__name__ == "__main__"'
    return sorted(p.stem for p in here.parent.glob("*.py") if p != here and runs in p.read_text(encoding="utf-8"))


def run(name: str, quick: bool) -> dict[str, Any]:
    """Run one bench, its output passed through; its JSON, or an `ok: false` with the exit code when there is none."""
    cmd = [sys.executable, "-m", f"bench.{name}", *(["--quick"] if quick else [])]
    last = ""
    with subprocess.Popen(cmd, cwd=kit.ROOT, stdout=subprocess.PIPE, text=True, errors="replace") as child:
        assert child.stdout
        for line in child.stdout:
            print(line, end="", flush=True)
            last = line if line.strip() else last
    try:
        out = json.loads(last)
        if isinstance(out, dict) and out.get("name") == name:
            return out
    except ValueError:
        pass
    return {"name": name, "figures": {}, "bars": {}, "ok": False, "exit": child.returncode}


def main(argv: list[str] | None = None) -> int:
    parser = kit.parser(__doc__)
    parser.add_argument("names", nargs="*", help="only these")
    args = parser.parse_args(argv)
    results = []
    for name in args.names or names():
        print(f"\n== {name}", flush=True)
        begun = time.monotonic()
        results.append((run(name, args.quick), time.monotonic() - begun))
    print(f"\n{'bench':<16} {'figure':<34} {'value':>10}  {'bar':<10} verdict")
    for out, took in results:
        for key, bar in out["bars"].items():
            verdict = "ok" if kit.holds(out["figures"].get(key), bar) else "MISSED"
            print(f"{out['name']:<16} {key:<34} {out['figures'].get(key)!s:>10}  {bar:<10} {verdict}")
        print(f"{out['name']:<16} {'ok' if out['ok'] else 'NOT OK'}, {took:.0f} s")
    for out, _ in results:
        print(json.dumps(out, ensure_ascii=False))
    return 0 if all(out["ok"] for out, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
