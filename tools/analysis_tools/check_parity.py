"""Check the networks of this package against outputs of public reference code."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from seg.utils.cli import run_main


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--fixtures', type=Path, required=True, help='folder with names.json')
    parser.add_argument('--case', required=True, help='name of the case, such as "public"')
    return parser.parse_args()


def main() -> int:
    """Recompute every golden of a case and report the largest errors."""
    args = parse_args()
    from seg.testing.golden_files import load_golden
    from seg.testing.parity import compare

    golden, arrays = load_golden(args.fixtures, args.case)
    failed = 0
    print(f'{"output":<18}{"absolute":>12}{"relative":>12}{"limit":>10}')
    seen = set()
    for name, output in golden.outputs():
        seen.add(name)
        if name not in arrays:
            continue
        deviation = compare(name, output, arrays[name])
        verdict = 'ok' if deviation.within else 'OFF'
        failed += not deviation.within
        print(
            f'{name:<18}{deviation.absolute:>12.2e}{deviation.relative:>12.2e}'
            f'{deviation.limit:>10.0e}  {verdict}'
        )
    for name in sorted(set(arrays) - seen - set(golden.input_names)):
        print(f'{name:<18}{"not computed":>34}  MISSING')
        failed += 1
    for name in sorted(seen - set(arrays)):
        print(f'{name:<18}{"no golden stored":>34}  MISSING')
        failed += 1
    print(json.dumps({'case': args.case, 'compared': len(seen & set(arrays)), 'failed': failed}))
    return 1 if failed else 0


if __name__ == '__main__':
    run_main(main)
