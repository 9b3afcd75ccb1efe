import importlib.util
import json
import sys


def test_steps_and_label_mapping_are_timed(repository, monkeypatch, capsys):
    path = repository / 'tools/analysis_tools/bench_data.py'
    spec = importlib.util.spec_from_file_location('bench_data', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = '--images 1 --rounds 1 --size 60 80 --json'
    monkeypatch.setattr(sys, 'argv', ['bench_data.py', *arguments.split()])
    module.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    sample = report['shapes as COCO panoptic']
    parts = sum(
        sample[f'{name}_ms'] for name in ('read', 'ClipFlip', 'PseudoClipJitter', 'PackClip')
    )
    assert abs(sample['total_ms'] - parts) < 0.01
    assert abs(sample['samples_per_second'] * sample['total_ms'] - 1000) < 0.01
    assert 0 < report['label mapping 736x1280']['median_ms'] < 100
