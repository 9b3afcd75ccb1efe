import io
import json
import pickle
import tarfile
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, get_worker_info

from seg.datasets import SampleRef, ShardDataset
from seg.datasets.samplers import TaskBatchSampler
from seg.datasets.shards import (
    INDEX_NAME,
    Member,
    Pair,
    ShardTable,
    find_pairs,
    find_shards,
    scan_shard,
    write_shard_index,
    write_shards,
)
from seg.datasets.transforms import PackClip
from seg.utils.checks import UserError


def make_shards(write_pairs, folder, num, shard_bytes=1200):
    write_pairs(folder / 'files', num)
    list(write_shards(find_pairs(folder / 'files'), folder / 'shards', shard_bytes))
    return folder / 'shards'


def note_worker(sample):
    sample['worker'] = get_worker_info().id
    return sample


def as_list(batch):
    return [(sample['img_id'], sample['worker']) for sample in batch]


@dataclass
class RankSampler:
    """What TaskBatchSampler needs of a sampler."""

    dataset: ShardDataset
    rank: int
    world_size: int = 2
    seed: int = 3


def read_rank(dataset, rank, first_batch=0):
    sampler = TaskBatchSampler(RankSampler(dataset, rank), batch_size=2, infinite=False)
    sampler.load_state_dict({'batch_index': first_batch})
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=2, collate_fn=as_list)
    return [pair for batch in loader for pair in batch]


def test_two_ranks_of_two_workers_read_every_sample_once(write_pairs, tmp_path):
    folder = make_shards(write_pairs, tmp_path, 24)
    assert len(find_shards(folder)) > 3
    dataset = ShardDataset(folder, 'interactive_image', [note_worker])
    ranks = [read_rank(dataset, rank) for rank in range(2)]
    assert [len(found) for found in ranks] == [12, 12]
    assert sorted(img_id for found in ranks for img_id, _ in found) == list(range(24))
    for found in ranks:
        assert {worker for _, worker in found} == {0, 1}
        assert [img_id for img_id, _ in found] != sorted(img_id for img_id, _ in found)
        assert [i for i, _ in found[8:]] == [
            i for i, _ in read_rank(dataset, ranks.index(found), first_batch=4)
        ]


def test_samples_come_back_as_they_were(write_pairs, tmp_path):
    dataset = ShardDataset(make_shards(write_pairs, tmp_path, 5), 'interactive_image', [])
    for sample in (dataset[i] for i in range(5)):
        index = sample['img_id']
        assert sample['clip'].shape == (1, 3, 20, 30)
        assert sample['clip'][0, :, 3, 3].tolist() == [index, 2 * index, 0]
        assert sample['masks'].sum() == sample['masks'][0, 0, 0].sum() == index + 1
        assert sample['labels'].tolist() == [-1]
        assert sample['object_ids'].tolist() == [7]  # the annotation's id
        assert f'sa_{index}' in sample['img_path']


def test_training_decodes_some_masks_and_tests_all(tmp_path, picture):
    annotation = json.loads(annotation_text())
    code = {'size': [20, 30], 'counts': [0, 600]}
    annotation['annotations'] = [{'id': i, 'segmentation': code} for i in range(1, 10)]
    pack(tmp_path / 'x.tar', [('a.png', picture), ('a.json', json.dumps(annotation).encode())])
    training = ShardDataset(tmp_path, 'interactive_image', [], max_segments=4)
    drawn = {tuple(training[SampleRef(0, draw=draw)]['object_ids'].tolist()) for draw in range(5)}
    assert {len(ids) for ids in drawn} == {4}
    assert len(drawn) > 1
    test = ShardDataset(tmp_path, 'interactive_image', [], max_segments=4, test_mode=True)
    assert test[0]['object_ids'].tolist() == list(range(1, 10))
    with pytest.raises(UserError, match='max_segments'):
        ShardDataset(tmp_path, 'interactive_image', [], max_segments=0)


def test_a_pickled_data_set_reads_on(write_pairs, tmp_path):
    folder = make_shards(write_pairs, tmp_path, 3)
    write_shard_index(folder, find_shards(folder))
    dataset = ShardDataset(folder, 'interactive_image', [dict(type=PackClip)])
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[2]['inputs'], dataset[2]['inputs'])


def test_shards_are_what_webdataset_reads(write_pairs, tmp_path):
    """Plain tar; the files of a sample follow each other and share a name up to the first dot."""
    names = []
    for path in find_shards(make_shards(write_pairs, tmp_path, 6)):
        with tarfile.open(path, 'r|') as stream:  # as it streams
            names += [info.name for info in stream]
    assert len(names) == 12
    for image, annotation in zip(names[::2], names[1::2], strict=True):
        assert image.split('.') == [annotation.split('.')[0], 'png']
        assert annotation.endswith('.json')


def test_the_same_files_give_the_same_shards(write_pairs, tmp_path):
    folder = make_shards(write_pairs, tmp_path, 4)
    list(write_shards(find_pairs(tmp_path / 'files'), tmp_path / 'again', 1200))
    for path in find_shards(folder):
        assert path.read_bytes() == (tmp_path / 'again' / path.name).read_bytes()


def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def pack(path, files, **settings):
    with tarfile.open(path, 'w', **settings) as archive:
        for name, content in files:
            add(archive, name, content)


def annotation_text(size=(20, 30)):
    image = {'image_id': 1, 'height': size[0], 'width': size[1]}
    return json.dumps({'image': image, 'annotations': []}).encode()


@pytest.fixture
def picture(tmp_path, write_pairs):
    write_pairs(tmp_path / 'one', 1)
    return (tmp_path / 'one/part0/sa_0.png').read_bytes()


@pytest.mark.parametrize('form', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_foreign_archives_are_read_without_conversion(tmp_path, picture, form):
    folder = 'long/' * 25 if form != tarfile.USTAR_FORMAT else 'long/' * 10
    files = [('./sa_1.json', annotation_text()), ('./sa_1.png', picture), ('LICENSE', b'...')]
    files += [(f'{folder}sa_2.PNG', picture), (f'{folder}sa_2.json', annotation_text())]
    pack(tmp_path / 'sa_000000.tar', files, format=form)
    dataset = ShardDataset(tmp_path / 'sa_000000.tar', 'interactive_image', [])
    assert len(dataset) == 2
    assert dataset[0]['masks'].shape == dataset[1]['masks'].shape == (0, 1, 20, 30)


@pytest.mark.parametrize('form', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize('name', ['bäume', '木/木 1', '木' * 60])
def test_names_in_any_script_are_read(tmp_path, picture, form, name):
    files = [(f'{name}.png', picture), (f'{name}.json', annotation_text())]
    pack(tmp_path / 'x.tar', files, format=form)
    sample = ShardDataset(tmp_path, 'interactive_image', [])[0]
    assert sample['img_path'] == str(tmp_path / 'x.tar' / name)


@pytest.mark.parametrize('name', ['../../a', '/etc/a', 'b/../../a'])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path, picture, name):
    pack(tmp_path / 'x.tar', [(f'{name}.png', picture), (f'{name}.json', annotation_text())])
    with pytest.raises(UserError, match=rf"x\.tar: expected names .* got '{name}\.png'"):
        ShardDataset(tmp_path, 'interactive_image', [])


@pytest.mark.parametrize('name', ['pipe:cat x.tar', 'https://host/x.tar', 's3://bucket/x.tar'])
def test_commands_and_addresses_are_refused(tmp_path, name):
    with pytest.raises(UserError, match='never opened'):
        ShardDataset(name, 'interactive_image', [])
    with pytest.raises(UserError, match='never opened'):
        ShardDataset([name], 'interactive_image', [])


@pytest.mark.parametrize('kind', ['pkl', 'pyd', 'pickle', 'pth', 'npy', 'cls'])
def test_pickles_are_never_decoded(tmp_path, picture, kind):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ('unpickled',))

    content = pickle.dumps(Bomb())
    files = [('a.png', picture), ('a.json', annotation_text()), (f'a.{kind}', content)]
    pack(tmp_path / 'x.tar', [*files, ('b.png', content), ('b.json', content)])
    dataset = ShardDataset(tmp_path, 'interactive_image', [])
    assert dataset[0]['img_id'] == 1
    with pytest.raises(UserError, match=r'x.tar: b.json: expected the JSON'):
        dataset[1]


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        (['a.png', 'a.json', 'a.jpg'], 'one image with the key'),
        (['a.png'], 'a .json annotation with the key'),
        (['a.json', 'b.json'], 'an image'),
    ],
)
def test_incomplete_pairs_are_named(tmp_path, picture, files, message):
    pack(tmp_path / 'x.tar', [(name, picture) for name in files])
    with pytest.raises(UserError, match=rf"x.tar: expected {message}.*'a'"):
        ShardDataset(tmp_path, 'interactive_image', [])


def test_a_key_in_two_shards_is_an_error(tmp_path, picture):
    for name in ('x.tar', 'y.tar'):
        pack(tmp_path / name, [('a.png', picture), ('a.json', annotation_text())])
    with pytest.raises(UserError, match=r"y.tar: .*'a', which is in .*x.tar"):
        ShardDataset(tmp_path, 'interactive_image', [])


@pytest.mark.parametrize('keep', [0, 100, 600, 700, 1400, 2000, 2048])
def test_cut_shards_are_noticed(tmp_path, picture, keep):
    pack(tmp_path / 'x.tar', [('a.png', picture), ('a.json', annotation_text())])
    whole = (tmp_path / 'x.tar').read_bytes()  # two headers and two files of 512 bytes each
    (tmp_path / 'x.tar').write_bytes(whole[:keep])
    with pytest.raises(UserError, match=r'x.tar: expected'):
        scan_shard(tmp_path / 'x.tar')


def test_damage_between_files_is_noticed(tmp_path, picture):
    pack(tmp_path / 'x.tar', [('a.png', picture), ('a.json', annotation_text())])
    whole = bytearray((tmp_path / 'x.tar').read_bytes())
    second = scan_shard(tmp_path / 'x.tar')[0].annotation.offset - 512
    whole[second : second + 20] = b'x' * 20
    (tmp_path / 'x.tar').write_bytes(whole)
    with pytest.raises(UserError, match=f'end mark at byte {second}'):
        scan_shard(tmp_path / 'x.tar')


def test_a_stale_index_is_noticed(write_pairs, tmp_path):
    folder = make_shards(write_pairs, tmp_path, 6)
    write_shard_index(folder, find_shards(folder))
    dataset = ShardDataset(folder, 'interactive_image', [])
    first = find_shards(folder)[0]
    other = bytearray(first.read_bytes())
    members = scan_shard(first)
    start = members[0].image.offset - 512
    middle = members[1].image.offset - 512
    first.write_bytes(other[middle:] + other[start:middle])  # the same size
    with pytest.raises(UserError, match='changed after it was indexed'):
        dataset[0]


def test_other_shards_make_the_index_stale(write_pairs, tmp_path):
    folder = make_shards(write_pairs, tmp_path, 6)
    write_shard_index(folder, find_shards(folder)[:1])
    assert len(ShardDataset(folder, 'interactive_image', [])) == 6
    assert (folder / INDEX_NAME).is_file()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'[' * 100_000, 'cannot be parsed'),
        (b'[]', "object 'image'"),
        (b'{"image": {}, "annotations": []}', "'height'"),
        (b'{"image": {"height": 0, "width": "9"}, "annotations": []}', 'a positive integer'),
        (annotation_text((21, 30)), 'height x width 21 x 30'),
    ],
)
def test_bad_annotations_are_named(tmp_path, picture, content, message):
    pack(tmp_path / 'x.tar', [('a.png', picture), ('a.json', content)])
    with pytest.raises(UserError, match=rf'x.tar: a.*{message}'):
        ShardDataset(tmp_path, 'interactive_image', [])[0]


@pytest.mark.parametrize('counts', ['zzz', '', 5, None, [1, 2, 3], [-4, 700]])
def test_bad_run_length_codes_are_named(tmp_path, picture, counts):
    annotation = json.loads(annotation_text())
    code = {'size': [20, 30], 'counts': counts}
    annotation['annotations'] = [{'segmentation': code}]
    pack(tmp_path / 'x.tar', [('a.png', picture), ('a.json', json.dumps(annotation).encode())])
    with pytest.raises(UserError, match=r'x.tar: a.json: annotations\[0\]: expected run-length'):
        ShardDataset(tmp_path, 'interactive_image', [])[0]


def test_pictures_of_other_kinds_are_refused(tmp_path):
    pack(tmp_path / 'x.tar', [('a.png', b'GIF89a' + bytes(40)), ('a.json', annotation_text())])
    with pytest.raises(UserError, match=r'x.tar: a: expected a readable image \(JPEG, PNG, WEBP\)'):
        ShardDataset(tmp_path, 'interactive_image', [])[0]


@pytest.mark.parametrize('suffix', ['.tar.gz', '.zip'])
def test_compressed_shards_are_refused(tmp_path, suffix):
    (tmp_path / f'x{suffix}').write_bytes(bytes(10))
    with pytest.raises(UserError, match='uncompressed'):
        find_shards(tmp_path / f'x{suffix}')


def test_missing_or_empty_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist'):
        find_shards(tmp_path / 'nothing')
    with pytest.raises(UserError, match=r'expected .tar files'):
        find_shards(tmp_path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda folder: (folder / 'part0/sa_0.json').unlink(), 'one of them alone'),
        (lambda folder: (folder / 'part0/a.b.json').touch(), 'one dot'),
        (lambda folder: (folder / 'part0/sa_0.jpg').touch(), 'one image per name'),
    ],
)
def test_folders_that_are_no_pairs_are_refused(write_pairs, tmp_path, change, message):
    write_pairs(tmp_path, 2)
    change(tmp_path)
    with pytest.raises(UserError, match=message):
        find_pairs(tmp_path)


def test_images_of_another_size_are_not_packed(write_pairs, tmp_path):
    write_pairs(tmp_path, 1)
    path = tmp_path / 'part0/sa_0.json'
    path.write_text(path.read_text().replace('"height": 20', '"height": 25'))
    with pytest.raises(UserError, match='height x width 25 x 30'):
        list(write_shards(find_pairs(tmp_path), tmp_path / 'out'))


def test_shards_are_not_mixed_with_others(write_pairs, tmp_path):
    folder = make_shards(write_pairs, tmp_path, 2)
    with pytest.raises(UserError, match=r'without .tar files'):
        list(write_shards([], folder))


def test_an_index_costs_some_bytes_per_sample():
    table = ShardTable()
    for number in range(4):
        pairs = [Pair(f'sa_{number}_{i}', Member(512, 100), Member(1536, 50)) for i in range(5000)]
        table.add(pairs)
    tracemalloc.start()
    table.add([Pair(f'sa_4_{i}', Member(512, 100), Member(1536, 50)) for i in range(5000)])
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 5000 * 100  # of Python objects it would be five times as much
    index = table.index()
    assert sum(array.nbytes for array in index.arrays.values()) < 25000 * 50
    assert index['sizes'].dtype == np.uint32
    assert index.texts('keys')[7003] == 'sa_1_2003'
    assert list(table.repeated_keys()) == []


def test_all_repeated_keys_are_found():
    table = ShardTable()
    for keys in (['a', 'b'], ['c'], ['b', 'c']):
        table.add([Pair(key, Member(512, 1), Member(1536, 1)) for key in keys])
    assert sorted(table.repeated_keys()) == [('b', 0, 2), ('c', 1, 2)]
