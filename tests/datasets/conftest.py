import pytest

from seg.datasets.converters import WRITERS, write_shapes


@pytest.fixture
def small(tmp_path):
    """Function that writes one tiny sample of Shapes per split in a layout, to be damaged."""

    def write(name, num=1):
        root = tmp_path / name
        list(write_shapes(WRITERS[name], root, num, num_frames=3, size=(48, 64)))
        return root

    return write
