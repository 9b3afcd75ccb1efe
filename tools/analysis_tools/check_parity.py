"""Check the networks of this package against outputs of public reference code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--fixtures', type=Path, required=True, help='folder with names.json')
    parser.add_argument('--case', required=True, help='name of the case, such as "public"')
    return parser.parse_args()


def main() -> int:
    """Recompute every golden of a case and report the largest errors.

    Returns:
        0 if all are right, 1 if one is off or missing.
    """
    args = parse_args()
    from seg.testing.golden_files import load_golden
    from seg.testing.golden_folder import INPUT_SHAPES
    from seg.testing.parity import compare

    golden, arrays = load_golden(args.fixtures, args.case)
    missing = dict.fromkeys(set(arrays) - set(INPUT_SHAPES), 'not computed')
    compared = failed = 0
    print(f'{"output":<18}{"absolute":>12}{"relative":>12}{"limit":>10}')
    for name, output in golden.outputs():
        if name not in arrays:
            missing[name] = 'no golden stored'
        elif output is None:
            missing[name] = 'no input stored'
        else:
            del missing[name]
            deviation = compare(name, output, arrays[name])
            verdict = 'ok' if deviation.within else 'OFF'
            compared += 1
            failed += not deviation.within
            print(
                f'{name:<18}{deviation.absolute:>12.2e}{deviation.relative:>12.2e}'
                f'{deviation.limit:>10.0e}  {verdict}'
            )
    for name, reason in sorted(missing.items()):
        print(f'{name:<18}{reason:>34}  MISSING')
    failed += len(missing)
    print(json_text({'case': args.case, 'compared': compared, 'failed': failed}))
    return 1 if failed else 0


if __name__ == '__main__':
    run_main(main)
