import numpy as np
import torch
from mmengine.structures import InstanceData

from seg.structures import ClipSample, Prompts, Task
from seg.visualization import SegmentVisualizer
from seg.visualization.sample_pictures import MAX_FRAMES, sample_caption, sample_picture

CLASSES = ('cat', 'sky')


def clip_sample(num_frames=2, size=(40, 60), **fields):
    masks = torch.zeros(2, num_frames, *size, dtype=torch.bool)
    masks[0, :, 5:20, 5:25] = True
    masks[1, :, 30:] = True
    sample = ClipSample(metainfo={'img_id': 'bird/3', 'img_shape': size, **fields})
    sample.gt_segments = InstanceData(
        masks=masks, labels=torch.tensor([0, 1]), object_ids=torch.tensor([4, 9])
    )
    return torch.full((num_frames, 3, *size), 90, dtype=torch.uint8), sample


def picture_of(clip, sample):
    visualizer = SegmentVisualizer(min_size=0, show_labels=False)
    return sample_picture(clip, sample, CLASSES, 1, visualizer)


def changed(first, second):
    return np.argwhere((first != second).any(axis=-1))


def test_frames_lie_side_by_side_and_segments_are_tinted():
    clip, sample = clip_sample()
    tinted = picture_of(clip, sample)
    del sample.gt_segments
    plain = picture_of(clip, sample)
    assert plain.shape == tinted.shape
    assert plain.shape[1] > 2 * 60
    assert len(changed(tinted, plain)) == 2 * (15 * 20 + 10 * 60)


def test_ground_truth_of_another_size_is_fitted():
    clip, sample = clip_sample()
    half = torch.full((2, 3, 20, 30), 90, dtype=torch.uint8)
    assert picture_of(half, sample).shape[1] < picture_of(clip, sample).shape[1]


def test_prompts_are_drawn_on_their_frame():
    clip, sample = clip_sample()
    before = picture_of(clip, sample)
    sample.prompts = Prompts.create(
        boxes=torch.tensor([[5.0, 5, 25, 20]]), object_ids=torch.tensor([4]), frame_index=1
    )
    places = changed(picture_of(clip, sample), before)
    assert len(places)
    assert places[:, 1].min() > before.shape[1] // 2


def test_masks_and_phrases_are_drawn():
    clip, sample = clip_sample(num_frames=1)
    before = picture_of(clip, sample)
    masks = torch.zeros(1, 40, 60)
    masks[0, :4, 50:] = 1
    sample.prompts = Prompts.create(masks=masks, object_ids=torch.tensor([4]))
    places = changed(picture_of(clip, sample), before)
    assert len(places) >= 20
    assert places[:, 0].max() < 16
    sample.prompts = Prompts.create(texts=['the sky'], object_ids=torch.tensor([9]))
    sample.prompt_targets = torch.tensor([1])
    places = changed(picture_of(clip, sample), before)
    assert len(places) > 200
    assert places[:, 0].min() >= 30


def test_long_clips_show_some_frames_and_those_with_prompts():
    clip, sample = clip_sample(num_frames=40)
    short = picture_of(clip, sample)
    sample.prompts = Prompts.create(
        points=torch.tensor([[[9.0, 9.0]]]), object_ids=torch.tensor([4]), frame_index=1
    )
    with_prompt = picture_of(clip, sample)
    assert with_prompt.shape[1] / short.shape[1] > (MAX_FRAMES + 0.5) / MAX_FRAMES


def test_the_caption_says_what_it_is():
    _, sample = clip_sample(task=Task.PANOPTIC)
    assert sample_caption(sample) == 'bird/3 · panoptic · 40 x 60 · 2 segments'
