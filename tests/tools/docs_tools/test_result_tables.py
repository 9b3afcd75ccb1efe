"""Tables of results are those of the logs, and a tool that fails leaves no log."""

import json
import shutil

TOOL = 'docs_tools/result_tables'
PAGE = 'Text.\n\n<!-- table of logs/sizes.json -->\nold\n<!-- end of table -->\nMore.\n'


PAGES = ['docs/models.md', 'docs/benchmarks.md', 'README.md', 'README.zh-CN.md']


def test_the_pages_in_the_repository_are_up_to_date(run_tool, repository, tmp_path):
    copies = [tmp_path / str(i) for i in range(len(PAGES))]
    for name, copy in zip(PAGES, copies, strict=True):
        shutil.copy(repository / name, copy)
    code, _, errors = run_tool(TOOL, 'write', '--page', *copies)

    assert code == 0, errors
    for name, copy in zip(PAGES, copies, strict=True):
        assert copy.read_text() == (repository / name).read_text(), name
        assert '<!-- table of logs/' in copy.read_text(), name


def test_some_scores_in_words(run_tool, tmp_path):
    result = {'image': {'PQ': 50.0, 'NoC': 4.0}, 'baseline': {'image': {'PQ': 1.0, 'NoC': 9.0}}}
    (tmp_path / 'card.json').write_text(json.dumps(dict(command='c', result=result)))
    rows = [['both', ['image/PQ', 'image/NoC']], ['quality', ['image/PQ'], 40]]
    rows += [['clicks', ['image/NoC'], 3], ['no bar', ['image/PQ'], None]]
    chosen = dict(header=['score', 'model', 'trivial'], between='; ', rows=rows)
    (tmp_path / 'some.json').write_text(json.dumps(chosen))
    page = tmp_path / 'page.md'
    page.write_text(PAGE.replace('sizes.json', 'card.json by tables/some.json'))
    code, _, errors = run_tool(
        TOOL, 'write', '--page', page, '--logs', tmp_path, '--tables', tmp_path
    )

    assert code == 0, errors
    for line in (
        '| both | 50.0; 4.0 | 1.0; 9.0 |',
        '| quality | **50.0** | 1.0 | 40 |',
        '| clicks | 4.0 | 9.0 | 3 |',
        '| no bar | 50.0 | 1.0 |  |',
    ):
        assert line in page.read_text()


def test_a_score_that_is_not_there(run_tool, tmp_path):
    (tmp_path / 'card.json').write_text(json.dumps(dict(command='c', result={'baseline': {}})))
    chosen = dict(header=['a', 'b', 'c'], between=', ', rows=[['quality', ['image/PQ']]])
    (tmp_path / 'some.json').write_text(json.dumps(chosen))
    page = tmp_path / 'page.md'
    page.write_text(PAGE.replace('sizes.json', 'card.json by tables/some.json'))
    code, _, errors = run_tool(
        TOOL, 'write', '--page', page, '--logs', tmp_path, '--tables', tmp_path
    )

    assert code == 2
    assert "['image/PQ']: expected scores of the report card; record it anew" in errors


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
