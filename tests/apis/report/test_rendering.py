import io
import math

import numpy as np
import pytest
from PIL import Image

from seg.apis.report import REPORT_TASKS, TaskResult
from seg.apis.report.rendering import ReportPage, curve_picture, read_curve
from seg.apis.shapes_samples import ShapesSamples
from seg.datasets.imaging import read_image
from seg.structures import Task
from seg.testing.fake_segmentor import FakeSegmentor

LINE = '{"iteration": 10, "cpu_minutes": %s, "wall_minutes": 1, "metrics": {"panoptic/PQ": %s}}\n'


def test_the_page_has_scores_pictures_and_statistics(tmp_path):
    model = FakeSegmentor(classes=tuple('abcdefghijk'))
    samples = ShapesSamples(Task.PANOPTIC, model.cfg, 2)
    result = TaskResult({'PQ': 61.234}, {'PQ': math.nan}, [50.0, 70.0])
    page = ReportPage(tmp_path / 'report', 'Report card: test')
    page.add_scores({'panoptic': result})
    page.add_samples(model, samples, REPORT_TASKS['panoptic'], result)
    page.add_statistics({'most_things': dict(value=8.0, target='3 to 8', met=True)})
    text = page.write().read_text()
    assert '| panoptic | PQ | 61.23 | - |' in text
    assert '| most things | 8 | 3 to 8 |' in text
    for group in ('best', 'median', 'worst'):
        assert f'(panoptic_{group}.png)' in text
        assert read_image(tmp_path / 'report' / f'panoptic_{group}.png').size


def test_the_curve_is_drawn_from_the_log(tmp_path):
    log = tmp_path / 'learning_curve.jsonl'
    log.write_text(LINE % (1, 5) + LINE % (2, 50))
    page = ReportPage(tmp_path, 'Report')
    page.add_curve(log)
    assert '(learning_curve.png)' in page.write().read_text()
    with Image.open(tmp_path / 'learning_curve.png') as picture:
        assert picture.size == (960, 540)


def test_the_curve_shows_the_scores():
    def plot(*scores):
        lines = [dict(cpu_minutes=i, metrics={'panoptic/PQ': s}) for i, s in enumerate(scores)]
        with Image.open(io.BytesIO(curve_picture(lines))) as picture:
            return np.asarray(picture.convert('RGB'))

    assert (plot(10, 20) != plot(10, 90)).any()
    assert plot().shape == (540, 960, 3)


@pytest.mark.parametrize('line', ['{', '[]', '{"cpu_minutes": 1}'])
def test_a_broken_line_of_the_curve_is_named(tmp_path, line):
    log = tmp_path / 'learning_curve.jsonl'
    log.write_text(LINE % (1, 5) + line)
    with pytest.raises(ValueError, match='line 2'):
        read_curve(log)
