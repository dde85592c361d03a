"""Run the benchmarks: every `bench_*.py` beside this file, or those named. Exit 1 where a bound is missed.

A benchmark is a module with `main() -> list[Row]` (see rows.py); it measures its peer in the same run.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.bench.rows import Row, table  # noqa: E402


def main(names: list[str]) -> int:
    present = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = sorted(set(names) - set(present))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(present)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in names or present:
        print(f"{name} …", flush=True)
        rows += importlib.import_module(f"tests.bench.bench_{name}").main()
    print(table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
