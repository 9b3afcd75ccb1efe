import pytest

from seg.datasets import ShapesDataset
from seg.datasets.converters import WRITERS, write_shapes

NUM, FRAMES = 2, 4


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Function that writes Shapes in a layout once, and returns the folder."""
    folders = {}

    def write(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            list(write_shapes(WRITERS[name], folders[name], NUM, num_frames=FRAMES))
        return folders[name]

    return write


@pytest.fixture
def original():
    """Function that gives the samples a writer was given, as the data set of Shapes has them."""

    def build(split, num_frames=1):
        return ShapesDataset('panoptic', split, NUM, num_frames)

    return build


def check_segments(found, expected, rows, labels=None, ids=None):
    """Compare what a reader found with some segments of a sample of Shapes."""
    assert found['masks'].shape == expected['masks'][rows].shape
    assert bool((found['masks'] == expected['masks'][rows]).all())
    wanted = expected['labels'][rows].tolist() if labels is None else labels
    assert found['labels'].tolist() == wanted
    wanted = expected['object_ids'][rows].tolist() if ids is None else ids
    assert found['object_ids'].tolist() == wanted
    assert not found['is_crowd'].any()
    assert found['ori_shape'] == expected['ori_shape']


def check_pictures(found, expected):
    """Compare frames that were written as JPEG files."""
    assert found['clip'].shape == expected['clip'].shape
    difference = (found['clip'].float() - expected['clip'].float()).abs()
    assert difference.mean() < 4


@pytest.fixture
def same():
    """Function that compares a sample read with the one written."""

    def check(found, expected, rows, **settings):
        check_segments(found, expected, rows, **settings)
        check_pictures(found, expected)

    return check
