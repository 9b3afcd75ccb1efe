import shutil

import numpy as np
import pytest
from PIL import Image

from seg.datasets import DavisDataset
from seg.datasets.converters.davis import palette_image
from seg.datasets.transforms import PackClip, TestResize
from seg.registry import DATASETS
from seg.utils.checks import UserError

SIZE = (40, 50)


def toy_ids(frame):
    ids = np.zeros(SIZE, dtype=np.uint8)
    ids[5:15, 5 + frame : 25 + frame] = 2
    ids[30:35] = 255
    if frame > 1:
        ids[20:25, :9] = 7
    return ids


@pytest.fixture
def toy(tmp_path):
    """A video of four frames at one of two resolutions."""
    for resolution in ('480p', 'Full-Resolution'):
        images = tmp_path / 'JPEGImages' / resolution / 'cat'
        masks = tmp_path / 'Annotations' / resolution / 'cat'
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        factor = 1 if resolution == '480p' else 2
        for frame in range(4):
            size = (SIZE[1] * factor, SIZE[0] * factor)
            Image.new('RGB', size, (frame, 0, 0)).save(images / f'{frame:05d}.jpg')
            mask = palette_image(toy_ids(frame).repeat(factor, 0).repeat(factor, 1))
            mask.save(masks / f'{frame:05d}.png')
    lists = tmp_path / 'ImageSets' / '2017'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('cat\n')
    return tmp_path


def build(root, **settings):
    return DavisDataset(root, 'train', 'vos', [PackClip()], **settings)


def test_objects_keep_their_ids_and_have_no_class(toy):
    settings = dict(type='DavisDataset', root=toy, split='train', task='vos', pipeline=[])
    sample = DATASETS.build({**settings, 'test_mode': True})[0]
    assert sample['object_ids'].tolist() == [2, 7]  # 255 is void
    assert sample['labels'].tolist() == [-1, -1]
    for frame in range(4):
        for row, object_id in enumerate((2, 7)):
            expected = toy_ids(frame) == object_id
            np.testing.assert_array_equal(sample['masks'][row, frame].numpy(), expected)
    assert (sample['video_id'], sample['frame_ids']) == ('cat', (0, 1, 2, 3))
    assert sample['annotated_frames'] == (0, 1, 2, 3)


def test_a_training_clip_has_the_objects_it_shows(toy):
    dataset = build(toy)
    shown = set()
    for draw in range(20):
        sample = dataset.draw(0, np.random.default_rng(draw))
        shown.add((sample['frame_ids'], tuple(sample['object_ids'].tolist())))
    assert shown == {((0, 2), (2, 7)), ((1, 3), (2, 7))}
    assert dataset.load_frames(0, [0, 1])['object_ids'].tolist() == [2]


def test_both_resolutions_are_read_and_never_confused(toy):
    small, large = build(toy), build(toy, resolution='Full-Resolution')
    assert small[0]['inputs'].shape == (2, 3, 40, 50)
    assert large[0]['inputs'].shape == (2, 3, 80, 100)
    (toy / 'Annotations' / '480p' / 'cat' / '00003.png').unlink()
    assert len(build(toy).frame_rows(0)) == 4
    assert build(toy).index['usable'].tolist() == [True, True, True, False]
    assert build(toy, resolution='Full-Resolution').index['usable'].all()


def test_frames_without_annotation_have_no_objects_and_no_part_in_training(toy):
    for frame in (1, 2):
        (toy / 'Annotations' / '480p' / 'cat' / f'{frame:05d}.png').unlink()
    whole = build(toy, test_mode=True)[0]['data_samples']
    assert whole.annotated_frames == (0, 3)
    seen = whole.gt_segments.masks.any(dim=(-2, -1)).int()
    assert seen.tolist() == [[1, 0, 0, 1], [0, 0, 0, 1]]
    assert build(toy).draw(0, np.random.default_rng(0))['frame_ids'] == (0, 3)


def test_nothing_is_learned_from_the_absence_of_classes(toy):
    metainfo = build(toy).metainfo
    assert metainfo['annotated_classes'] == ()
    assert (metainfo['classes'], metainfo['num_things']) == (('object',), 1)


def test_palettes_that_were_sorted_anew_are_named(toy):
    image = palette_image(np.minimum(toy_ids(2), 1))  # value 1 in the place of value 2
    colors = image.getpalette()
    image.putpalette(colors[:3] + colors[6:9] + colors[3:6] + colors[9:])
    replace_mask(toy, image)
    with pytest.raises(UserError, match=r'00002\.png: expected the palette .* \[1\] .* \[2\];'):
        build(toy, test_mode=True)[0]
    image.putpalette([level for level in range(256) for _ in range(3)])  # grey, as some tools save
    replace_mask(toy, image)
    build(toy, test_mode=True)[0]
    image.putpalette([0, 0, 0])  # shorter than its values
    replace_mask(toy, image)
    build(toy, test_mode=True)[0]


def replace_mask(toy, image):
    image.save(toy / 'Annotations' / '480p' / 'cat' / '00002.png')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (
            lambda toy: replace_mask(toy, Image.new('L', (40, 50))),
            r'00002\.png: .* 40 x 50 .* 50 x',
        ),
        (lambda toy: replace_mask(toy, Image.new('RGB', (50, 40))), r'00002\.png: .* mode RGB'),
        (
            lambda toy: (toy / 'JPEGImages/480p/cat/00001.jpg').write_bytes(b'\xff\xd8no'),
            r'00001\.jpg: expected a readable image',
        ),
        (
            lambda toy: Image.new('RGB', (9, 9)).save(toy / 'JPEGImages/480p/cat/00001.jpg'),
            r'00001\.jpg: expected all frames of a video at one size.*40 x 50.*got 9 x 9',
        ),
    ],
)
def test_damaged_files_are_named(toy, damage, message):
    damage(toy)
    with pytest.raises(UserError, match=message):
        build(toy, test_mode=True)[0]


def remove_frames(toy):
    for path in (toy / 'JPEGImages/480p/cat').iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (remove_frames, r"cat: expected frames \(\*\.jpg\) of the video 'cat'"),
        (
            lambda toy: (toy / 'JPEGImages/480p/cat/00003.jpg').unlink(),
            r'00003\.png: expected a frame of that name',
        ),
        (
            lambda toy: (toy / 'ImageSets/2017/train.txt').write_text('cat\ncat'),
            r"train\.txt: expected every name once.*\['cat'\]",
        ),
        (
            lambda toy: (toy / 'ImageSets/2017/train.txt').write_text('\n'),
            r'train\.txt: expected every name once.*empty',
        ),
        (
            lambda toy: (toy / 'ImageSets/2017/train.txt').write_bytes(b'\xff\xfe'),
            r'train\.txt: expected a text file',
        ),
    ],
)
def test_damaged_layouts_are_named(toy, damage, message):
    damage(toy)
    with pytest.raises(UserError, match=message):
        build(toy)


def test_missing_parts_are_named(toy):
    with pytest.raises(FileNotFoundError, match=r'val\.txt: .* the splits there are: train;'):
        DavisDataset(toy, 'val', 'vos', [])
    shutil.rmtree(toy / 'Annotations' / '480p' / 'cat')
    with pytest.raises(FileNotFoundError, match='480p/cat: expected a folder'):
        build(toy)


def test_an_unknown_resolution_gets_a_suggestion(toy):
    with pytest.raises(UserError, match=r"unknown resolution of DAVIS '480'.* mean '480p'"):
        build(toy, resolution='480')


def lay_out_judo(shared_dir, root, mend):
    """The real frames and masks in the layout of DAVIS; some masks lack the last column."""
    for kind in ('JPEGImages', 'Annotations'):
        (root / kind / '480p').mkdir(parents=True)
    (root / 'JPEGImages/480p/judo').symlink_to(shared_dir / 'media' / 'video_judo')
    masks = root / 'Annotations/480p/judo'
    if mend:
        masks.mkdir()
        for path in (shared_dir / 'media' / 'video_judo_masks').iterdir():
            ids = np.array(Image.open(path))
            palette_image(np.pad(ids, ((0, 0), (0, 854 - ids.shape[1])), 'edge')).save(
                masks / path.name
            )
    else:
        masks.symlink_to(shared_dir / 'media' / 'video_judo_masks')
    (root / 'ImageSets' / '2017').mkdir(parents=True)
    (root / 'ImageSets' / '2017' / 'val.txt').write_text('judo\n')
    return root


@pytest.fixture
def judo(shared_dir, tmp_path):
    return lay_out_judo(shared_dir, tmp_path, mend=True)


@pytest.mark.data
def test_real_frames_and_masks_are_read(judo):
    dataset = DavisDataset(judo, 'val', 'vos', [], test_mode=True)
    sample = dataset.load(0)
    assert sample['clip'].shape == (16, 3, 480, 854)
    assert sample['annotated_frames'] == (0, 5, 8, 13)
    ids = sample['object_ids'].tolist()
    part = dataset.load_frames(0, [0, 5, 8])
    for place, frame in ((0, 0), (2, 8)):
        expected = np.array(Image.open(judo / 'Annotations/480p/judo' / f'{frame:05d}.png'))
        assert set(np.unique(expected).tolist()) - {0} <= set(ids)
        for row, object_id in enumerate(part['object_ids'].tolist()):
            np.testing.assert_array_equal(part['masks'][row, place].numpy(), expected == object_id)


@pytest.mark.data
def test_real_masks_of_another_size_are_named(shared_dir, tmp_path):
    root = lay_out_judo(shared_dir, tmp_path, mend=False)
    with pytest.raises(UserError, match=r'00005\.png: .* 480 x 854 as its image, got 480 x 853'):
        DavisDataset(root, 'val', 'vos', [], test_mode=True)[0]


@pytest.mark.data
def test_real_frames_go_through_a_test_pipeline(judo):
    pipeline = [TestResize(scale=(120, 214)), PackClip()]
    packed = DavisDataset(judo, 'val', 'vos', pipeline, test_mode=True)[0]
    assert packed['inputs'].shape[:3] == (16, 3, 120)
    assert packed['data_samples'].gt_segments.masks.shape[-2:] == (480, 854)


@pytest.mark.data
def test_real_annotations_of_the_evaluation_are_read(shared_dir, tmp_path):
    """The three sequences of masks; their frames are not there, so blank ones stand in."""
    root = shared_dir / 'fixtures' / 'davis_eval'
    for name in ('Annotations', 'ImageSets'):
        (tmp_path / name).symlink_to(root / name)
    for video in (root / 'Annotations' / '480p').iterdir():
        folder = tmp_path / 'JPEGImages' / '480p' / video.name
        folder.mkdir(parents=True)
        for mask in video.iterdir():
            Image.new('RGB', Image.open(mask).size).save(folder / f'{mask.stem}.jpg')
    dataset = DavisDataset(tmp_path, 'val', 'vos', [])
    assert len(dataset) == 3
    for index in range(3):
        sample = dataset.load_frames(index, [0, 13])
        video = root / 'Annotations' / '480p' / sample['video_id']
        maps = np.stack([np.array(Image.open(video / f'{t:05d}.png')) for t in (0, 13)])
        for mask, object_id in zip(sample['masks'], sample['object_ids'].tolist(), strict=True):
            np.testing.assert_array_equal(mask.numpy(), maps == object_id)
        assert set(sample['object_ids'].tolist()) == set(np.unique(maps).tolist()) - {0, 255}
