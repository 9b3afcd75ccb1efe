"""Training losses read from logs, and drawn."""

import io
import json

import pytest
from PIL import Image

from seg.comparison.loss_curves import LossCurve, curves_picture, read_curve


@pytest.fixture
def folder(tmp_path):
    """A training that was stopped after step 100 and resumed at step 50."""
    for start, entries in {
        '20260101_000000': [
            {'vos/loss_mask': 2.0, 'vos/loss_dice': 1.0, 'loss': 9.0, 'step': 50},
            {'vos/loss_mask': 5.0, 'panoptic/loss_cls': 7.0, 'step': 100},
        ],
        '20260102_000000': [
            {'vos/loss_mask': 1.5, 'vos/loss_dice': 0.5, 'step': 100},
            {'panoptic/PQ': 40.0, 'step': 100},
        ],
    }.items():
        path = tmp_path / start / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text(''.join(f'{json.dumps(entry)}\n' for entry in entries))
    return tmp_path


def test_what_was_logged_later_counts(folder):
    assert read_curve(folder, 'joint', 'vos', share=0.5) == ('joint', [25, 50], [3.0, 2.0])


def test_scores_are_no_losses(folder):
    assert read_curve(folder, 'joint', 'panoptic') == ('joint', [100], [7.0])


def test_a_training_without_logs_has_no_points(tmp_path):
    assert read_curve(tmp_path, 'joint', 'vos') == ('joint', [], [])


def test_every_task_has_its_diagram():
    curve = LossCurve('joint', [1, 2], [3.0, 2.0])
    widths = {}
    for count in (1, 3):
        picture = curves_picture({f'task {i}': [curve, curve] for i in range(count)})
        widths[count] = Image.open(io.BytesIO(picture)).size

    assert widths[3][0] == widths[1][0]
    assert widths[3][1] == 2 * widths[1][1]
