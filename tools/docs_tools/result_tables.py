"""Keep JSON logs of measurements and write the tables of pages from them.

``record`` runs a tool whose last line of output is JSON and keeps it with the command; ``write``
fills the tables of pages, which stand between marks. A mark names a log, all of which becomes the
table, or a file of ``docs/tables``: text with fields such as ``{card/image/PQ .1f}``, the path of a
number in the log ``card`` and how to write it. In a list, rows are found by ``name``, by what
other columns of them are (``task=vos,score=J&F``), or by place.
``{a/b ÷ c/d .2f}`` divides, ``{a/b .1f >= 60}`` is bold if so, and ``{command of card}`` tells what
was run.

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

from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError
from seg.utils.cli import run_main

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / 'docs' / 'logs'
TABLES = ROOT / 'docs' / 'tables'
PAGES = [
    ROOT / name
    for name in (
        *('docs/models.md', 'docs/benchmarks.md', 'docs/performance.md'),
        *('docs/annotate.md', 'docs/joint_training.md', 'README.md', 'README.zh-CN.md'),
    )
]
_TABLE = re.compile(
    r'(<!-- table of (?:logs/(\w+)\.json|tables/(\w+)\.txt) -->\n).*?(<!-- end of table -->)', re.S
)
_FIELD = re.compile(
    r'\{(?:command of (?P<log>\w+)|(?P<path>[^{}÷]+?)(?: ÷ (?P<below>[^{}÷]+?))? '
    r'(?P<format>[^{} ]*[fde])(?: (?P<sign>>=|<=) (?P<bar>-?[\d.]+))?)\}'
)


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
    write = commands.add_parser('write', help='write the tables of pages')
    write.add_argument('--page', type=Path, nargs='+', default=PAGES, help='default: all there are')
    write.add_argument('--logs', type=Path, default=LOGS, help='folder of logs')
    write.add_argument('--tables', type=Path, default=TABLES, help='folder of texts with fields')
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
    write_bytes_atomically(logs / f'{name}.json', f'{json.dumps(log, indent=2)}\n'.encode())


def filled_page(text: str, logs: Path = LOGS, tables: Path = TABLES) -> str:
    """A page with its tables written anew.

    Raises:
        UserError: If a log is missing or broken.
    """

    def fill(match: re.Match[str]) -> str:
        if match[2]:
            table = table_of(read_log(logs, match[2]))
        else:
            table = filled_table(_read_table(tables / f'{match[3]}.txt'), logs).strip()
        return f'{match[1]}\n{table}\n\n{match[4]}'

    return _TABLE.sub(fill, text)


def filled_table(text: str, logs: Path = LOGS) -> str:
    """Text with its fields replaced by numbers of logs.

    Raises:
        UserError: If a log is missing or has no such number, or braces are left over.
    """

    def fill(match: re.Match[str]) -> str:
        if match['log']:
            return str(read_log(logs, match['log'])['command'])
        value = number_at(logs, match['path'])
        below = number_at(logs, match['below']) if match['below'] else 1
        try:
            value = value / below if match['below'] else value
            shown = format(value, match['format'])
        except (ValueError, ZeroDivisionError) as error:
            raise UserError(
                f'{match[0]}: expected a number that is written so, got {value}: {error}'
            ) from error
        if not match['sign']:
            return shown
        bar = float(match['bar'])
        reached = value >= bar if match['sign'] == '>=' else value <= bar
        return f'**{shown}**' if reached else shown

    filled = _FIELD.sub(fill, text)
    if '{' in filled:
        start = filled.index('{')
        raise UserError(
            f'{filled[start : start + 60]!r}: expected a field such as {{card/image/PQ .1f}}'
        )
    return filled


def number_at(logs: Path, path: str) -> float:
    """The number of a path, or the path itself if it is one.

    Raises:
        UserError: If there is none.
    """
    try:
        return float(path)
    except ValueError:
        name, *keys = path.split('/')
    found = read_log(logs, name)['result']
    for key in keys:
        if isinstance(found, list):
            found = row_of(found, key)
        else:
            found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise UserError(f'{path}: expected a number of the log {name}, got {found!r:.60}')
    return found


def row_of(rows: list[Any], key: str) -> Any:
    """The row that a part of a path means; ``None`` if there is none."""
    records = [row for row in rows if isinstance(row, dict)]
    named = {row['name']: row for row in records if 'name' in row}
    if key in named:
        return named[key]
    wanted = [pair.split('=', 1) for pair in key.split(',')]
    if all(len(pair) == 2 for pair in wanted):
        fitting = [row for row in records if dict(wanted).items() <= row.items()]
        return fitting[0] if len(fitting) == 1 else None
    return rows[int(key)] if key.isdigit() and int(key) < len(rows) else None


def _read_table(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8')
    except FileNotFoundError as error:
        raise UserError(
            f'{path}: expected a table, got no file; write it or mend the mark'
        ) from error


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
    for page in arguments.page:
        text = page.read_text(encoding='utf-8')
        filled = filled_page(text, arguments.logs, arguments.tables)
        write_bytes_atomically(page, filled.encode())


if __name__ == '__main__':
    run_main(main)
