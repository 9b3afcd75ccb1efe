import json
import os
import subprocess
import sys


def test_a_small_model_is_measured(repository):
    command = [sys.executable, 'tools/analysis_tools/sam_strategies.py', '--variant', 'tiny']
    done = subprocess.run(
        [*command, '--strategies', 'decoder', 'cached', '--prompts', '1', '3', '--repeat', '1'],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(repository)},
    )
    rows = json.loads(done.stdout.splitlines()[-1])

    assert [(row['strategy'], row['prompts']) for row in rows] == [
        ('decoder', 1),
        ('decoder', 3),
        ('cached', 1),
        ('cached', 3),
    ]
    assert rows[0]['trained_parameters'] == rows[2]['trained_parameters'] > 100_000
    assert abs(rows[0]['loss'] - rows[2]['loss']) < 1e-3
    assert all(row['seconds'] > 0 and row['peak_gib'] > 0 for row in rows)
