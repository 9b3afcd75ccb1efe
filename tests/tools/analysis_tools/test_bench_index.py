import importlib.util
import json
import sys

TOOL = 'tools/analysis_tools/bench_index.py'


def test_numbers_are_printed(repository, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location('bench_index', repository / TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setenv('RAPSAM_CACHE_DIR', 'replaced')  # restored after the test
    monkeypatch.setattr(sys, 'argv', ['bench_index.py', '--num', '2000', '--workers', '2'])
    tool.main()
    results = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert results['images'] == 2000
    assert results['next_start_s'] < results['first_start_s'] + 0.5
    assert results['pickled_kb'] < 100
    assert len(results['worker_growth_mb']) == 2
    assert max(results['worker_growth_mb']) < 20
