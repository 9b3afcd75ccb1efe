import json

import torch

from seg.registry import MODELS


def test_strategies_are_compared(run_tool, tmp_path):
    """A fresh model, two iterations: what matters is that everything runs in one call."""
    torch.save(MODELS.build(dict(type='SamSegmentor', variant='tiny')).state_dict(), tmp_path / 'w')
    settings = ['--layouts', 'coco', '--strategies', 'adapter', '--num', 2, '--iters', 2]
    code, output, errors = run_tool(
        'analysis_tools/sam_on_shapes', tmp_path / 'w', *settings, '--out', tmp_path / 'out'
    )
    assert code == 0, errors
    rows = json.loads(output.splitlines()[-1])
    assert [(row['layout'], row['strategy']) for row in rows] == [
        ('coco', 'not fine-tuned'),
        ('coco', 'adapter'),
    ]
    assert all(0 <= row['IoU'] <= 100 and 0 <= row['BIoU'] <= 100 for row in rows)


def test_missing_weights_are_named(run_tool, tmp_path):
    code, _, errors = run_tool('analysis_tools/sam_on_shapes', tmp_path / 'none.pth')
    assert code == 2
    assert 'expected the weights of configs/sam/sam_tiny_shapes.py' in errors
