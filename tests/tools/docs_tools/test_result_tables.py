"""Tables of results are those of the logs, and a tool that fails leaves no log."""

import json
import shutil

import pytest

TOOL = 'docs_tools/result_tables'
PAGE = 'Text.\n\n<!-- table of logs/sizes.json -->\nold\n<!-- end of table -->\nMore.\n'


PAGES = [
    *('docs/models.md', 'docs/benchmarks.md', 'docs/performance.md'),
    *('docs/annotate.md', 'docs/joint_training.md', 'README.md', 'README.zh-CN.md'),
]


def test_the_pages_in_the_repository_are_up_to_date(run_tool, repository, tmp_path):
    copies = [tmp_path / str(i) for i in range(len(PAGES))]
    for name, copy in zip(PAGES, copies, strict=True):
        shutil.copy(repository / name, copy)
    code, _, errors = run_tool(TOOL, 'write', '--page', *copies)

    assert code == 0, errors
    for name, copy in zip(PAGES, copies, strict=True):
        assert copy.read_text() == (repository / name).read_text(), name
        assert '<!-- table of ' in copy.read_text(), name


CARD = {
    'image': {'PQ': 50.0, 'NoC': 4.0, 'name': 'x'},
    'plain': [3, 4],
    'rows': [{'kind': 'a', 'n': 3}, {'kind': 'b', 'n': 4}],
    'results': [
        {'name': 'a model, 1 object', 'seconds': 0.5},
        {'seconds': 2},
        {'name': 'net, size=3', 'seconds': 7},
    ],
}


def fill(run_tool, folder, table):
    """Write a page with a table of the card; returns the code, the page and what was printed."""
    (folder / 'card.json').write_text(json.dumps(dict(command='python t.py', result=CARD)))
    (folder / 'some.txt').write_text(table)
    page = folder / 'page.md'
    page.write_text(PAGE.replace('logs/sizes.json', 'tables/some.txt'))
    code, _, errors = run_tool(TOOL, 'write', '--page', page, '--logs', folder, '--tables', folder)
    return code, page.read_text(), errors


@pytest.mark.parametrize(
    ('field', 'shown'),
    [
        ('{card/image/PQ .1f}', '50.0'),
        ('{card/image/PQ .0f >= 50}', '**50**'),
        ('{card/image/PQ .0f >= 50.5}', '50'),
        ('{card/image/NoC .1f <= 4}', '**4.0**'),
        ('{card/image/NoC .1f >= -0.5}', '**4.0**'),
        ('{card/image/NoC .1f <= 3}', '4.0'),
        ('{card/results/a model, 1 object/seconds .2f}', '0.50'),
        ('{card/results/1/seconds .0f}', '2'),
        ('{card/rows/kind=b/n .0f}', '4'),
        ('{card/results/net, size=3/seconds .0f}', '7'),
        ('{card/results/1/seconds ÷ card/results/a model, 1 object/seconds .2f >= 4}', '**4.00**'),
        ('{card/results/1/seconds ÷ 0.001 ,.0f}', '2,000'),
        ('`{command of card}`', '`python t.py`'),
    ],
)
def test_fields_become_numbers_of_logs(run_tool, tmp_path, field, shown):
    code, page, errors = fill(run_tool, tmp_path, f'| in words | {field} s |\n')

    assert code == 0, errors
    assert page == PAGE.replace('logs/sizes.json', 'tables/some.txt').replace(
        'old', f'\n| in words | {shown} s |\n'
    )


@pytest.mark.parametrize(
    ('field', 'message'),
    [
        ('{card/image/SQ .1f}', 'card/image/SQ: expected a number of the log card, got None'),
        ('{card/image/name .1f}', "expected a number of the log card, got 'x'"),
        ('{card/image .1f}', 'expected a number of the log card, got {'),
        ('{card/results/7/seconds .1f}', 'expected a number of the log card, got None'),
        ('{card/plain/kind=b/n .1f}', 'expected a number of the log card, got None'),
        ('{card/image/PQ ÷ card/image/SQ .1f}', 'card/image/SQ: expected a number of the log'),
        ('{card/image/PQ ÷ 0 .1f}', 'expected a number that is written so, got 50.0: float'),
        ('{card/image/PQ d}', 'expected a number that is written so, got 50.0: Unknown format'),
        ('{other/image/PQ .1f}', 'other.json: expected a log'),
        ('{card/image/PQ}', 'expected a field such as {card/image/PQ .1f}'),
    ],
)
def test_a_field_without_a_number_leaves_the_page_alone(run_tool, tmp_path, field, message):
    code, page, errors = fill(run_tool, tmp_path, field)

    assert code == 2
    assert message in errors
    assert '\nold\n' in page


def test_a_table_that_is_not_there(run_tool, tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(PAGE.replace('logs/sizes.json', 'tables/some.txt'))
    code, _, errors = run_tool(TOOL, 'write', '--page', page, '--tables', tmp_path)

    assert code == 2
    assert 'some.txt: expected a table, got no file' in errors


def test_rows_become_a_table_with_their_command(run_tool, tmp_path):
    log = dict(command='python t.py --json', result=[dict(name='a', n=1234, share=0.25)])
    (tmp_path / 'sizes.json').write_text(json.dumps(log))
    page = tmp_path / 'page.md'
    page.write_text(PAGE)
    code, _, errors = run_tool(TOOL, 'write', '--page', page, '--logs', tmp_path)

    assert code == 0, errors
    table = '| name | n | share |\n|---|---|---|\n| `a` | 1,234 | 0.2 |\n\n`python t.py --json`'
    assert page.read_text() == PAGE.replace('old', f'\n{table}\n')


def test_a_report_card_has_a_row_per_metric(run_tool, tmp_path):
    result = dict(vos={'J&F': 50.0, 'J': 40.0}, baseline=dict(vos={'J&F': 16.6}), shapes={})
    (tmp_path / 'sizes.json').write_text(json.dumps(dict(command='c', result=result)))
    page = tmp_path / 'page.md'
    page.write_text(PAGE)
    run_tool(TOOL, 'write', '--page', page, '--logs', tmp_path)

    assert '| `vos` | `J&F` | 50.0 | 16.6 |\n| `vos` | `J` | 40.0 |  |' in page.read_text()


def test_a_tool_is_run_and_kept(run_tool, tmp_path):
    tool = tmp_path / 'tool.py'
    tool.write_text('import sys; print("noise"); print(\'[{"n": %d}]\' % len(sys.argv))')
    code, _, errors = run_tool(TOOL, 'record', '--logs', tmp_path, 'sizes', tool, '--json')

    assert code == 0, errors
    log = json.loads((tmp_path / 'sizes.json').read_text())
    assert log == dict(command=f'python {tool} --json', result=[dict(n=2)])


def test_a_tool_that_fails_leaves_no_log(run_tool, tmp_path):
    tool = tmp_path / 'tool.py'
    for source, message in (
        ('raise SystemExit(3)', 'expected exit code 0, got 3'),
        ('print("done")', 'expected JSON as the last line'),
    ):
        tool.write_text(source)
        code, _, errors = run_tool(TOOL, 'record', '--logs', tmp_path, 'sizes', tool)
        assert code == 2 and message in errors
    assert not (tmp_path / 'sizes.json').exists()


def test_a_missing_log_is_named(run_tool, tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(PAGE)
    code, _, errors = run_tool(TOOL, 'write', '--page', page, '--logs', tmp_path)

    assert code == 2 and 'sizes.json: expected a log' in errors
    assert page.read_text() == PAGE
