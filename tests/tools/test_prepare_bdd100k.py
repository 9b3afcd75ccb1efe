import numpy as np
import pytest

from seg.datasets.converters import WRITERS, write_shapes


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bdd') / 'bdd100k'
    for _ in write_shapes(WRITERS['bdd100k'], folder, 1, size=(48, 64)):
        pass
    return folder


TOOL = 'dataset_converters/prepare_bdd100k'


def test_the_guides_files_are_written(run_tool, root, tmp_path):
    flags = ('--bdd100k_root', root, '--output_path', tmp_path / 'npy', '--image_size', 32)
    code, _, error = run_tool(TOOL, *flags, '--splits', 'val')
    assert code == 0, error
    (image,), (label,) = (sorted((tmp_path / 'npy/val' / n).glob('*')) for n in ('imgs', 'gts'))
    pixels, classes = np.load(image), np.load(label)

    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.float32)
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert (classes.shape, classes.dtype) == ((32, 32), np.uint8)
    assert image.name == label.name
    assert not (tmp_path / 'npy/train').exists()


def test_sizes_that_cannot_be_are_named(run_tool, root, tmp_path):
    flags = ('--bdd100k_root', root, '--output_path', tmp_path / 'npy')
    for size, message in ((0, 'at least 1, got 0'), (4_000_000, 'GB free')):
        code, _, error = run_tool(TOOL, *flags, '--image_size', size)
        assert code == 2
        assert message in error
