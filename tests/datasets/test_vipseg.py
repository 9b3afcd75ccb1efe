import numpy as np
import pytest
from PIL import Image

from seg.datasets import VIPSegDataset
from seg.datasets.metainfo import VIPSEG
from seg.datasets.vipseg import read_panoptic_value
from seg.registry import DATASETS
from seg.utils.checks import UserError

VIDEO = 'train_00000'


@pytest.fixture
def root(small):
    return small('vipseg')


def build(root, split='train', **settings):
    return DATASETS.build(
        dict(type='VIPSegDataset', root=root, split=split, task='panoptic', pipeline=[], **settings)
    )


def write_values(root, frame, values):
    path = root / 'panomasks' / VIDEO / f'{frame:08d}.png'
    Image.fromarray(np.resize(values, (48, 64)).astype(np.uint16)).save(path)


def test_values_stand_for_classes():
    names = VIPSEG.class_names
    assert names[read_panoptic_value(6107).label] == 'person'
    assert names[read_panoptic_value(300).label] == 'door'
    assert not read_panoptic_value(6107).is_crowd
    assert names[read_panoptic_value(1).label] == VIPSEG.stuff[0].name
    assert read_panoptic_value(61) == (names.index('person'), True)  # a thing without a number
    for value in (128, 125, 12501, 99900, 210):
        assert read_panoptic_value(value) is None
    things = [read_panoptic_value(100 * info.category_id + 1).label for info in VIPSEG.things]
    stuff = [read_panoptic_value(info.category_id).label for info in VIPSEG.stuff]
    assert things + stuff == list(range(124))


def test_void_belongs_to_no_segment(root):
    write_values(root, 0, [0, 200, 6107, 6108, 61, 1])
    sample = build(root).load_frames(0, [0])
    assert sample['object_ids'].tolist() == [1, 61, 6107, 6108]
    assert sample['is_crowd'].tolist() == [False, True, False, False]
    assert int(sample['masks'].sum()) == 48 * 64 * 4 // 6
    assert sample['video_id'] == VIDEO


def test_the_classes_are_the_published_ones(root):
    metainfo = build(root).metainfo
    assert (len(metainfo['classes']), metainfo['num_things']) == (124, 58)
    assert metainfo['dataset_name'] == 'vipseg'


def test_training_clips_have_the_segments_of_their_frames(root):
    write_values(root, 0, [1])
    write_values(root, 2, [6107])
    dataset = build(root)
    assert dataset[0]['frame_ids'] == (0, 2)
    assert dataset[0]['object_ids'].tolist() == [1, 6107]
    assert dataset[0]['masks'].flatten(2).any(-1).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize('value', [125, 12501, 130, 65535])
def test_values_of_no_class_are_named_with_their_file(root, value):
    write_values(root, 1, [1, value])
    with pytest.raises(UserError, match=rf'{VIDEO}/00000001\.png: .*got {value}'):
        build(root, test_mode=True)[0]


def test_videos_of_the_test_split_have_no_segments(root):
    (root / 'val.txt').rename(root / 'test.txt')
    for path in (root / 'panomasks' / 'val_00000').iterdir():
        path.unlink()
    (root / 'panomasks' / 'val_00000').rmdir()
    sample = build(root, 'test', test_mode=True)[0]
    assert sample['masks'].shape == (0, 3, 48, 64)
    assert sample['annotated_frames'] == ()
    with pytest.raises(UserError, match=r'test\.txt: expected videos with at least 2 frames'):
        build(root, 'test')


def test_missing_annotations_of_other_splits_are_named(root):
    (root / 'panomasks' / VIDEO).rename(root / 'gone')
    with pytest.raises(FileNotFoundError, match=f'{VIDEO}: expected a folder'):
        build(root)


def test_pictures_in_colours_are_no_maps(root):
    Image.new('RGB', (64, 48)).save(root / 'panomasks' / VIDEO / '00000000.png')
    with pytest.raises(UserError, match=r'00000000\.png: expected a map of ids .* mode RGB'):
        VIPSegDataset(root, 'train', 'panoptic', [], test_mode=True)[0]
