"""Keep JSON logs of measurements and write the tables of docs/models.md from them.

``record`` runs a tool whose last line of output is JSON and keeps it with the command; ``write``
fills the tables of a page, which stand between marks that name a log.

Examples:
    python tools/docs_tools/result_tables.py record report_card \
        tools/analysis_tools/report_card.py --json
    python tools/docs_tools/result_tables.py write
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / 'docs' / 'logs'
PAGE = ROOT / 'docs' / 'models.md'
_TABLE = re.compile(r'(<!-- table of logs/(\w+)\.json -->\n).*?(<!-- end of table -->)', re.S)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='action', required=True)
    record = commands.add_parser('record', help='run a tool and keep its JSON')
    record.add_argument('name', help='of the log')
    record.add_argument('command', nargs=argparse.REMAINDER, help='tool with its arguments')
    record.add_argument('--logs', type=Path, default=LOGS, help='folder of logs')
    write = commands.add_parser('write', help='write the tables of a page')
    write.add_argument('--page', type=Path, default=PAGE, help='default: %(default)s')
    write.add_argument('--logs', type=Path, default=LOGS, help='folder of logs')
    return parser.parse_args()


def record_log(name: str, command: list[str], logs: Path = LOGS) -> None:
    """Run a tool and keep what it measured.

    Raises:
        UserError: If there is no tool, it fails, or its last line is no JSON.
    """
    if not command:
        raise UserError('command: expected a tool such as tools/test.py, got none')
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise UserError(f'{command[0]}: expected exit code 0, got {done.returncode}; see above')
    last = (done.stdout.strip().splitlines() or [''])[-1]
    try:
        result = json.loads(last)
    except json.JSONDecodeError as error:
        raise UserError(
            f'{command[0]}: expected JSON as the last line of output, got {last[:60]!r}; add --json'
        ) from error
    log = {'command': f'python {shlex.join(command)}', 'result': result}
    logs.mkdir(parents=True, exist_ok=True)
    (logs / f'{name}.json').write_text(json.dumps(log, indent=2) + '\n', encoding='utf-8')


def filled_page(text: str, logs: Path = LOGS) -> str:
    """A page with its tables written anew.

    Raises:
        UserError: If a log is missing or broken.
    """
    return _TABLE.sub(lambda m: f'{m[1]}\n{table_of(read_log(logs, m[2]))}\n\n{m[3]}', text)


def read_log(logs: Path, name: str) -> dict[str, Any]:
    """A log of :func:`record_log`.

    Raises:
        UserError: If it is missing or none.
    """
    path = logs / f'{name}.json'
    try:
        log = json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise UserError(
            f'{path}: expected a log, got {error}; make it with result_tables.py record {name}'
        ) from error
    if not isinstance(log, dict) or not {'command', 'result'} <= set(log):
        raise UserError(f'{path}: expected the keys command and result; record it anew')
    return log


def table_of(log: dict[str, Any]) -> str:
    """The result as a Markdown table, with the command below it."""
    rows = log['result'] if isinstance(log['result'], list) else rows_by_task(log['result'])
    if not rows:
        raise UserError(f'log of {log["command"]}: expected rows, got none; record it anew')
    columns = list(rows[0])
    lines = [f'| {" | ".join(columns)} |', '|' + '---|' * len(columns)]
    lines += [f'| {" | ".join(cell_text(row.get(key)) for key in columns)} |' for row in rows]
    return '\n'.join([*lines, '', f'`{log["command"]}`'])


def rows_by_task(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a report card: a metric of a task, of the model and of its baseline."""
    rows = []
    for task, baseline in result.get('baseline', {}).items():
        for metric, value in result[task].items():
            rows.append(dict(task=task, metric=metric, model=value, baseline=baseline.get(metric)))
    return rows


def cell_text(value: Any) -> str:
    """A number or text as it stands in a table."""
    if value is None:
        return ''
    if isinstance(value, int):
        return f'{value:,}'
    return f'{value:.1f}' if isinstance(value, float) else f'`{value}`'


def main() -> None:
    """Record, or write."""
    arguments = parse_arguments()
    if arguments.action == 'record':
        record_log(arguments.name, arguments.command, arguments.logs)
        return
    text = arguments.page.read_text(encoding='utf-8')
    arguments.page.write_text(filled_page(text, arguments.logs), encoding='utf-8')


if __name__ == '__main__':
    run_main(main)
