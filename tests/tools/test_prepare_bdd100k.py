import os
import subprocess
import sys

import numpy as np
import pytest

from seg.datasets.converters import WRITERS, write_shapes


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bdd') / 'bdd100k'
    for _ in write_shapes(WRITERS['bdd100k'], folder, 1, size=(48, 64)):
        pass
    return folder


def run(repository, *flags):
    return subprocess.run(
        [sys.executable, 'tools/dataset_converters/prepare_bdd100k.py', *map(str, flags)],
        cwd=repository,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(repository)},
    )


def test_the_guides_files_are_written(repository, root, tmp_path):
    flags = ('--bdd100k_root', root, '--output_path', tmp_path / 'npy', '--image_size', 32)
    done = run(repository, *flags, '--splits', 'val')
    assert done.returncode == 0, done.stderr
    (image,), (label,) = (sorted((tmp_path / 'npy/val' / n).glob('*')) for n in ('imgs', 'gts'))
    pixels, classes = np.load(image), np.load(label)

    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.float32)
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert (classes.shape, classes.dtype) == ((32, 32), np.uint8)
    assert image.name == label.name
    assert not (tmp_path / 'npy/train').exists()


def test_sizes_that_cannot_be_are_named(repository, root, tmp_path):
    flags = ('--bdd100k_root', root, '--output_path', tmp_path / 'npy')
    assert 'at least 1, got 0' in run(repository, *flags, '--image_size', 0).stderr
    assert 'GB free' in run(repository, *flags, '--image_size', 4_000_000).stderr
