"""Keep JSON logs of measurements and write the tables of pages from them.

``record`` runs a tool whose last line of output is JSON and keeps it with the command; ``write``
fills the tables of pages, which stand between marks that name a log, and where not all of it is
wanted a file that says which scores in what words.

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
TABLES = ROOT / 'docs' / 'tables'
PAGES = [
    ROOT / name for name in ('docs/models.md', 'docs/benchmarks.md', 'README.md', 'README.zh-CN.md')
]
_TABLE = re.compile(
    r'(<!-- table of logs/(\w+)\.json(?: by tables/(\w+)\.json)? -->\n).*?(<!-- end of table -->)',
    re.S,
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
    write.add_argument('--tables', type=Path, default=TABLES, help='folder of what tables show')
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


def filled_page(text: str, logs: Path = LOGS, tables: Path = TABLES) -> str:
    """A page with its tables written anew.

    Raises:
        UserError: If a log is missing or broken.
    """

    def fill(match: re.Match[str]) -> str:
        log = read_log(logs, match[2])
        if match[3] is None:
            table = table_of(log)
        else:
            chosen = json.loads((tables / f'{match[3]}.json').read_text(encoding='utf-8'))
            table = table_of_chosen(log['result'], chosen)
        return f'{match[1]}\n{table}\n\n{match[4]}'

    return _TABLE.sub(fill, text)


def table_of_chosen(result: dict[str, Any], chosen: dict[str, Any]) -> str:
    """Scores of a report card as a Markdown table.

    Args:
        result: The report card.
        chosen: ``header``, titles of the columns (name, model, baseline and perhaps the wanted
            score); ``between``, what stands between scores in one cell; ``rows``, each a name, one
            or several ``task/metric`` and, for a column of wanted scores, a number or ``null``.
            A score that is as good as wanted stands in bold.

    Raises:
        UserError: If there is no such score.
    """
    header = chosen['header']
    lines = [f'| {" | ".join(header)} |', '|' + '---|' * len(header)]
    for name, metrics, *wanted in chosen['rows']:
        pairs = [metric.split('/', 1) for metric in metrics]
        if any(metric not in result.get(task, {}) for task, metric in pairs):
            raise UserError(f'{metrics}: expected scores of the report card; record it anew')
        values = [result[task][metric] for task, metric in pairs]
        model = chosen['between'].join(map(cell_text, values))
        if wanted and wanted[0] is not None and is_reached(metrics[0], values[0], wanted[0]):
            model = f'**{model}**'
        trivial = [cell_text(result['baseline'][task].get(metric)) for task, metric in pairs]
        cells = [name, model, chosen['between'].join(trivial)]
        cells += ['' if value is None else str(value) for value in wanted]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def is_reached(metric: str, value: float, wanted: float) -> bool:
    """Whether a score is as good as wanted; of clicks, fewer are better."""
    return value <= wanted if 'NoC' in metric else value >= wanted


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
        page.write_text(filled, encoding='utf-8')


if __name__ == '__main__':
    run_main(main)
