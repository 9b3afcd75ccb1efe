import numpy as np
import pytest
import torch

from seg.datasets.transforms import FixedSegmentPrompts, PackClip, RandomSegmentPrompts
from seg.datasets.transforms.prompt_rows import VisibleSegment
from seg.datasets.transforms.segment_prompts import far_apart_points, jitter_box
from seg.utils.checks import UserError

H, W = 40, 60


def sample(num=4, seed=0, frames=1):
    masks = torch.zeros(num, frames, H, W, dtype=torch.bool)
    for i in range(num):
        masks[i, :, 5 : 15 + i, 10 * i : 10 * i + 10] = True
    return dict(
        task='interactive_image',
        clip=torch.zeros(frames, 3, H, W, dtype=torch.uint8),
        masks=masks,
        labels=torch.zeros(num, dtype=torch.long),
        object_ids=torch.arange(10, 10 + num),
        is_crowd=torch.zeros(num, dtype=torch.bool),
        rng=np.random.default_rng(seed),
    )


def test_a_tight_box_holds_every_pixel_and_nothing_more():
    mask = np.zeros((8, 9), dtype=bool)
    mask[2:4, 3:8] = True
    assert VisibleSegment(mask[None]).box == (3, 2, 8, 4)


def test_jitter_shrinks_and_grows_within_its_limits():
    rng = np.random.default_rng(0)
    box = np.array([10, 10, 30, 20], dtype=np.float32)
    moved = np.stack([jitter_box(box, (H, W), 0.2, 3.0, rng) for _ in range(300)])
    shift = np.abs(moved - box).max(axis=0)

    assert (moved[:, 0] < 10).any() and (moved[:, 0] > 10).any()
    assert shift[0] == pytest.approx(3, abs=0.2)  # limited in pixels
    assert shift[1] == pytest.approx(2, abs=0.2)  # limited by the height


def test_jitter_keeps_boxes_valid_at_the_border():
    rng = np.random.default_rng(0)
    for _ in range(100):
        box = jitter_box(np.array([59, 0, 60, 1], np.float32), (H, W), 0.49, 50, rng)
        assert box.min() >= 0 and box[2] <= W and box[3] <= H
        assert (box[2:] - box[:2] >= 1 - 1e-4).all()


@pytest.mark.parametrize('mode', ['box', 'point', 'both'])
@pytest.mark.parametrize('kind', [RandomSegmentPrompts, FixedSegmentPrompts])
def test_each_mode_says_what_it_names(kind, mode):
    results = kind(mode=mode, num_points=2)(sample())
    prompts = results['prompts']

    assert prompts.has_box.all() == (mode != 'point')
    assert (prompts.point_labels == 1).sum() == (0 if mode == 'box' else 8)
    assert prompts.object_ids.tolist() == (10 + results['prompt_targets']).tolist()
    for row, target in enumerate(results['prompt_targets'].tolist()):
        for x, y in prompts.point_coords[row].tolist():
            assert results['masks'][target, 0, int(y), int(x)]


def test_a_mixture_has_rows_of_all_kinds_and_single_clicks():
    kinds, counts = set(), set()
    for seed in range(20):
        prompts = RandomSegmentPrompts(mode='mixed')(sample(seed=seed))['prompts']
        kinds |= set(zip(prompts.has_box.tolist(), prompts.has_point.tolist(), strict=True))
        counts |= set((prompts.point_labels == 1).sum(dim=1).tolist())

    assert kinds == {(True, False), (False, True), (True, True)}
    assert counts == {0, 1, 2, 3}


def test_probabilities_of_a_mixture_hold():
    step = RandomSegmentPrompts(mode='mixed', mode_probs=dict(box=0.0, point=1.0))
    assert not step(sample())['prompts'].has_box.any()


def test_background_points_lie_beside_the_object():
    results = RandomSegmentPrompts(mode='point', num_points=1, num_background=2)(sample())
    prompts = results['prompts']
    for row, target in enumerate(results['prompt_targets'].tolist()):
        for (x, y), label in zip(
            prompts.point_coords[row].tolist(), prompts.point_labels[row].tolist(), strict=True
        ):
            assert bool(results['masks'][target, 0, int(y), int(x)]) == (label == 1)


def test_training_draws_from_the_sample_and_evaluation_draws_nothing():
    def boxes(kind, seed):
        return kind(mode='both')(sample(seed=seed))['prompts'].boxes

    assert torch.equal(boxes(RandomSegmentPrompts, 1), boxes(RandomSegmentPrompts, 1))
    assert not torch.equal(boxes(RandomSegmentPrompts, 1), boxes(RandomSegmentPrompts, 2))
    assert torch.equal(boxes(FixedSegmentPrompts, 1), boxes(FixedSegmentPrompts, 2))


def test_fixed_points_start_in_the_middle_and_lie_apart():
    mask = np.zeros((9, 30), dtype=bool)
    mask[:, :] = True
    points = far_apart_points(mask, 3)

    assert points[0][1] == 4.5
    assert abs(points[1][0] - points[2][0]) > 20
    assert len(far_apart_points(np.eye(1, dtype=bool), 3)) == 3


def test_the_largest_segments_are_prompted_in_evaluation():
    results = FixedSegmentPrompts(max_prompts=2)(sample())
    assert results['prompt_targets'].tolist() == [2, 3]


def test_crowds_and_specks_are_not_prompted():
    results = sample()
    results['is_crowd'][3] = True
    results['masks'][0] = False
    results['masks'][0, 0, 0, 0] = True
    prompted = FixedSegmentPrompts(min_area=2)(results)
    assert prompted['prompt_targets'].tolist() == [1, 2]


def test_nothing_to_prompt_gives_no_prompts_and_still_packs():
    packed = PackClip()(RandomSegmentPrompts(mode='both')(sample(num=0)))
    assert len(packed['data_samples'].prompts) == 0


def test_wrong_settings_and_clips_are_named():
    with pytest.raises(UserError, match=r"FixedSegmentPrompts\.mode 'boxes'.*Did you mean 'box'"):
        FixedSegmentPrompts(mode='boxes')
    with pytest.raises(UserError, match='num_points and max_prompts of at least 1'):
        FixedSegmentPrompts(num_points=0)
    with pytest.raises(UserError, match=r'box_jitter < 0\.5'):
        RandomSegmentPrompts(box_jitter=0.5)
    with pytest.raises(UserError, match='sum to 1'):
        RandomSegmentPrompts(mode='mixed', mode_probs=dict(box=0.3))
    with pytest.raises(UserError, match='a clip of 2 frames'):
        FixedSegmentPrompts()(sample(frames=2))
