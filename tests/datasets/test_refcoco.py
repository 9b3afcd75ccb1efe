import json
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from seg.datasets import RefCocoDataset
from seg.datasets.referring_files import held_out_images, read_refs
from seg.datasets.transforms import EvaluationPrompts, PackClip, TestResize
from seg.evaluation.metrics import InteractiveMetric
from seg.registry import DATASETS
from seg.utils.checks import UserError

REFS = 'refs(unc).p'


@pytest.fixture
def root(small):
    return small('refcoco')


def arguments(root, split='train', **settings):
    return {
        'refs_file': root / REFS,
        'ann_file': root / 'instances.json',
        'img_dir': root / 'train2014',
        'split': split,
        'task': 'interactive_image',
        'pipeline': [],
        **settings,
    }


def change_refs(root, edit):
    refs = pickle.loads((root / REFS).read_bytes())
    edit(refs)
    (root / REFS).write_bytes(pickle.dumps(refs, protocol=2))


def test_training_draws_one_expression_per_object(root):
    def edit(refs):
        for ref in refs:
            texts = [f'{word} {ref["ann_id"]}' for word in ('a', 'b', 'c')]
            ref['sentences'] = [{'sent_id': n, 'sent': text} for n, text in enumerate(texts)]

    change_refs(root, edit)
    dataset = DATASETS.build({'type': 'RefCocoDataset', **arguments(root)})
    drawn = [dataset.draw(0, np.random.default_rng(seed)) for seed in range(40)]
    for sample in drawn:
        ids = sample['object_ids'].tolist()
        assert len(set(ids)) == len(ids) == len(sample['expressions'])
        assert [text.split()[1] for text in sample['expressions']] == [str(i) for i in ids]
    assert {sample['expressions'][0][0] for sample in drawn} == {'a', 'b', 'c'}


def test_evaluation_has_a_row_per_expression(root):
    def edit(refs):
        texts = ['one', ' two ', '', 'three']
        refs[0]['sentences'] = [{'sent_id': 90 + n, 'sent': t} for n, t in enumerate(texts)]

    change_refs(root, edit)
    before = RefCocoDataset(**arguments(root))[0]
    sample = RefCocoDataset(**arguments(root, test_mode=True))[0]
    assert sample['expressions'][:3] == ['one', 'two', 'three']
    assert sample['object_ids'][:3].tolist() == [90, 91, 93]
    assert len(sample['masks']) == len(before['masks']) + 2
    assert bool((sample['masks'][:3] == before['masks'][0]).all())
    assert sample['labels'][:3].tolist() == before['labels'][:1].tolist() * 3


def test_every_expression_is_scored(root):
    def edit(refs):
        for ref in refs:
            ref['sentences'].append({'sent_id': 1000 + ref['ref_id'], 'sent': 'the star'})

    change_refs(root, edit)
    pipeline = [EvaluationPrompts(kinds=('text',)), TestResize(scale=(48, 64)), PackClip()]
    dataset = RefCocoDataset(**{**arguments(root, test_mode=True), 'pipeline': pipeline})
    sample = dataset[0]['data_samples']
    sample.pred_prompted = InstanceData(
        object_ids=sample.prompts.object_ids,
        masks=sample.gt_segments.masks[sample.prompt_targets][:, None],
        iou_scores=torch.ones(len(sample.prompts), 1),
        prompt_kind=list(sample.prompt_kinds),
    )
    metric = InteractiveMetric()
    metric.process(None, [sample.to_dict()])
    assert len(sample.prompts) == 2 * len(RefCocoDataset(**arguments(root))[0]['labels'])
    assert metric.evaluate(1)['interactive/text_gIoU'] == 100


def test_splits_do_not_share_images(root):
    train, val = (RefCocoDataset(**arguments(root, split)) for split in ('train', 'val'))
    assert (train[0]['img_id'], val[0]['img_id']) == (1, 500_001)
    with pytest.raises(UserError, match=r"unknown split 'test'.*expected one of train, val"):
        RefCocoDataset(**arguments(root, 'test'))


def test_images_of_2017_are_read_under_their_ids(root):
    for path in (root / 'train2014').iterdir():
        path.rename(root / 'train2014' / path.name.rpartition('_')[2])
    dataset = RefCocoDataset(**arguments(root, image_template='{id:012d}.jpg'))
    assert dataset[0]['img_path'].endswith('train2014/000000000001.jpg')


def test_images_that_others_are_scored_on_are_left_out(small, tmp_path):
    root = small('refcoco', 3)
    everything = DATASETS.build({'type': 'RefCocoDataset', **arguments(root)})
    first, *others = [everything.load(i)['img_id'] for i in range(len(everything))]
    other = tmp_path / 'refs.json'
    rows = read_refs(root / REFS)
    other.write_text(
        json.dumps([{**ref, 'split': 'val'} for ref in rows if ref['image_id'] == first])
    )
    settings = dict(type='RefCocoDataset', held_out_refs=[other])
    dataset = DATASETS.build({**settings, **arguments(root)})

    assert [dataset.load(i)['img_id'] for i in range(len(dataset))] == others
    other.write_text(json.dumps([{**ref, 'split': 'val'} for ref in rows]))
    with pytest.raises(UserError, match='not held out, got none'):
        DATASETS.build({**settings, **arguments(root)})


def test_held_out_images_are_those_of_validation_and_test(root):
    change_refs(root, lambda refs: refs[0].update(image_id=77, split='testA'))
    assert held_out_images([root / REFS]) == {77, 500_001}
    assert held_out_images([]) == set()


def test_json_says_the_same_as_the_pickle(root):
    refs = pickle.loads((root / REFS).read_bytes())
    (root / 'refs.json').write_text(json.dumps(refs))
    assert read_refs(root / 'refs.json') == read_refs(root / REFS) == refs


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_is_refused(root, tmp_path):
    for protocol in range(6):
        (root / REFS).write_bytes(pickle.dumps([Bomb(tmp_path / 'run')], protocol))
        with pytest.raises(UserError, match=r'refs\(unc\)\.p: .*it names \w+\.mkdir'):
            read_refs(root / REFS)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('kept', [0, 1, 10, -1])
def test_files_that_are_cut_off_are_named(root, kept):
    (root / REFS).write_bytes((root / REFS).read_bytes()[:kept])
    with pytest.raises(UserError, match=r'refs\(unc\)\.p: expected JSON'):
        read_refs(root / REFS)


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda refs: refs.clear(), 'list of refs, got an empty one'),
        (lambda refs: refs.__setitem__(0, 3), r'an object in refs\[0\], got 3'),
        (lambda refs: refs[1].pop('ann_id'), r"'ann_id' in refs\[1\]"),
        (lambda refs: refs[1].update(sentences=[]), r'sentences of refs\[1\]'),
        (lambda refs: refs[1].update(sentences=[{'sent_id': 1}]), r'sentences of refs\[1\]'),
        (lambda refs: refs[1].update(sentences=[{'sent': 'x'}]), r'sentences of refs\[1\]'),
        (lambda refs: refs[1].update(image_id=9), 'image_id of ref 1 to be in .*json, got 9'),
        (lambda refs: refs[1].update(ann_id=9999), 'ann_id of ref 1 to be in .*json, got 9999'),
    ],
)
def test_malformed_refs_are_named(root, edit, message):
    change_refs(root, edit)
    with pytest.raises(UserError, match=rf'refs\(unc\)\.p: .*{message}'):
        RefCocoDataset(**arguments(root))


def test_malformed_annotations_are_named(root):
    content = json.loads((root / 'instances.json').read_bytes())
    content['annotations'][0]['segmentation'] = [[1, 2]]
    (root / 'instances.json').write_text(json.dumps(content))
    dataset = RefCocoDataset(**arguments(root))
    with pytest.raises(UserError, match=r'instances\.json: annotation 1: expected polygons'):
        dataset[0]
    content['annotations'][0].pop('segmentation')
    (root / 'instances.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match="'segmentation' in annotation 1"):
        RefCocoDataset(**arguments(root))


def test_missing_files_are_named(root):
    with pytest.raises(FileNotFoundError, match=r'gone\.p: expected a refs file'):
        RefCocoDataset(**{**arguments(root), 'refs_file': root / 'gone.p'})
    with pytest.raises(FileNotFoundError, match=r'gone\.json: expected an annotation file'):
        RefCocoDataset(**{**arguments(root), 'ann_file': root / 'gone.json'})
