import numpy as np
import pytest
import torch

from seg.datasets import ClipDataset, ShapesDataset
from seg.datasets.transforms import ClipFlip, CopyPaste, LargeScaleJitter
from seg.structures import Prompts


class PatternDataset(ClipDataset):
    """Sample 0 is the pattern; the others are it, upside down and with half the colour."""

    def __init__(self, make, num_frames=1, pipeline=(), num_things=3):
        meta = {'classes': ('a', 'b', 'c'), 'num_things': num_things}
        super().__init__('interactive_image', pipeline, meta)
        self.make, self.num_frames = make, num_frames

    def __len__(self):
        return 2

    def load(self, index):
        sample = self.make(self.num_frames)
        if index:
            sample['clip'] = sample['clip'].flip(-2) // 2
            sample['masks'] = sample['masks'].flip(-2)
        return sample


def draw(make, paste, seed=0, **settings):
    dataset = PatternDataset(make, **settings)
    sample = make(settings.get('num_frames', 1))
    sample.update(dataset=dataset, rng=np.random.default_rng(seed))
    return paste(sample)


def test_pasted_things_cut_out_what_is_below(pattern_sample):
    pasted = 0
    for seed in range(40):
        results = draw(pattern_sample, CopyPaste(prob=1, min_area=1), seed, num_frames=2)
        ids, masks, labels = (results[k] for k in ('object_ids', 'masks', 'labels'))
        assert len(ids) == len(set(ids.tolist())) == len(masks) == len(labels)
        new = ids > 9
        # Where pixels are half as bright, and only there, something was pasted from sample 1.
        half = (results['clip'] == 100).any(dim=1)
        full = (results['clip'] == 200).any(dim=1)
        assert not (masks[~new] & half).any()
        assert torch.equal((half | full), masks.any(dim=0))
        color = results['clip'].permute(1, 0, 2, 3)[labels] >= 100
        assert torch.equal(color & masks, masks)
        assert torch.equal(masks[:, 0], masks[:, 1])
        pasted += int(new.sum())
    assert pasted > 20


def test_prompts_stay_on_what_is_visible(pattern_sample):
    lost_points = cut_boxes = 0
    for seed in range(60):
        jitter = dict(type=LargeScaleJitter, scale=(24, 40), ratio_range=(0.6, 2))
        paste = CopyPaste([jitter], prob=1, min_area=1)
        results = draw(pattern_sample, paste, seed)
        prompts, targets = results['prompts'], results['prompt_targets']
        assert len(prompts) == len(targets)
        assert torch.equal(results['object_ids'][targets], prompts.object_ids)
        masks = results['masks'][targets, 0]
        assert torch.equal(prompts.masks.bool(), masks)
        for row in range(len(prompts)):
            if prompts.has_point[row]:
                x, y = prompts.point_coords[row, 0].long().tolist()
                assert masks[row, y, x]
            if prompts.has_box[row]:
                ys, xs = torch.nonzero(masks[row], as_tuple=True)
                tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
                assert prompts.boxes[row].tolist() == tight
                cut_boxes += tight != [20, 12, 36, 22]
        lost_points += not prompts.has_point.any()
    assert lost_points
    assert cut_boxes


def test_only_things_that_are_no_crowd_are_pasted(pattern_sample):
    for seed in range(10):
        results = draw(pattern_sample, CopyPaste(prob=1, min_area=1), seed, num_things=1)
        new = results['object_ids'] > 9
        assert not results['labels'][new].any()  # class 1 is stuff, class 2 a crowd
        assert not results['is_crowd'][new].any()


def test_the_number_of_pasted_things_has_a_limit(pattern_sample):
    for seed in range(10):
        results = draw(pattern_sample, CopyPaste(max_objects=1, prob=1, min_area=1), seed)
        assert (results['object_ids'] > 9).sum() <= 1


def test_small_rests_are_dropped_with_their_prompts(pattern_sample):
    results = pattern_sample()
    cover = pattern_sample()
    cover['masks'] = torch.zeros_like(cover['masks'])
    cover['masks'][0, :, :, :11] = True  # all but one column of segment 0, which is 3..11 wide
    cover['labels'][:] = 0
    dataset = PatternDataset(pattern_sample)
    dataset.load = lambda index: cover
    results.update(dataset=dataset, rng=np.random.default_rng(0))
    results['expressions'] = ['left', 'right', None]
    results = CopyPaste(prob=1, min_area=9)(results)
    assert results['object_ids'].tolist() == [8, 9, 10]
    assert results['expressions'] == ['right', None, None]
    assert results['prompts'].object_ids.tolist() == [8]
    assert results['prompt_targets'].tolist() == [0]


def test_background_clicks_may_lie_under_pasted_things(pattern_sample):
    sample = pattern_sample()
    sample['prompts'] = Prompts.create(
        points=torch.tensor([[[30.5, 15.5], [5.5, 5.5]]]),
        point_labels=torch.tensor([[1, 0]]),
        object_ids=torch.tensor([8]),
    )
    sample['prompt_targets'] = torch.tensor([1])
    cover = pattern_sample()
    cover['masks'][0] = False
    cover['masks'][0, :, :, :11] = True
    cover['labels'][:] = 0
    cover['masks'][1:] = False
    dataset = PatternDataset(pattern_sample)
    dataset.load = lambda index: cover
    sample.update(dataset=dataset, rng=np.random.default_rng(0))
    results = CopyPaste(prob=1)(sample)
    assert results['prompts'].point_labels.tolist() == [[1, 0]]


def test_a_sample_draws_the_same_every_time():
    pipeline = [
        dict(type=ClipFlip),
        dict(type=CopyPaste, prob=1, pipeline=[dict(type=LargeScaleJitter, scale=(128, 160))]),
    ]
    dataset = ShapesDataset('panoptic', num_samples=5, pipeline=pipeline)
    first, again = dataset[3], dataset[3]
    assert torch.equal(first['clip'], again['clip'])
    assert torch.equal(first['masks'], again['masks'])
    plain = dataset.load(3)
    assert len(first['labels']) > len(plain['labels']) - 3
    assert (first['masks'].sum(dim=0) == 1).all()  # still every pixel once


def test_nothing_is_pasted_with_probability_zero(pattern_sample):
    results = draw(pattern_sample, CopyPaste(prob=0))
    assert torch.equal(results['clip'], pattern_sample()['clip'])


def test_clips_of_other_lengths_are_refused(pattern_sample):
    sample = pattern_sample(num_frames=2)
    sample['dataset'] = PatternDataset(pattern_sample, num_frames=1)
    with pytest.raises(ValueError, match='expected samples of 2 frames, got one of 1'):
        CopyPaste(prob=1)(sample)


def test_a_sample_without_data_set_is_refused(pattern_sample):
    with pytest.raises(ValueError, match='derive it from'):
        CopyPaste(prob=1)(pattern_sample())


@pytest.mark.parametrize('settings', [{'max_objects': 0}, {'prob': 2}])
def test_nonsense_pasting_is_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        CopyPaste(**settings)
