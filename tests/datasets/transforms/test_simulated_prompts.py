from collections import Counter

import numpy as np
import pytest
import torch

from seg.datasets import ShapesDataset
from seg.datasets.transforms import PackClip, SimulatedPrompts
from seg.models.data_preprocessors import ClipPreprocessor
from seg.registry import TRANSFORMS
from seg.utils.checks import UserError

WORDS = ['the left square', None, 'a crowd']


def simulate(sample, **settings):
    return TRANSFORMS.build({'type': 'SimulatedPrompts', **settings})(sample)


@pytest.fixture
def named_sample(pattern_sample):
    def make(**settings):
        sample = pattern_sample(**settings)
        del sample['prompts'], sample['prompt_targets']
        return {**sample, 'expressions': list(WORDS)}

    return make


def test_every_row_says_what_its_kind_means(named_sample):
    seen = Counter()
    for seed in range(30):
        results = simulate(named_sample(seed=seed), combine_prob=0)
        prompts = results['prompts']
        prompts.validate()
        assert len(prompts) == len(results['prompt_kinds']) == 12
        for row, kind in enumerate(results['prompt_kinds']):
            says = (prompts.has_point, prompts.has_box, prompts.has_mask, prompts.has_text)
            assert [bool(flag[row]) for flag in says] == [
                kind == name for name in ('click', 'box', 'mask', 'text')
            ]
            seen[kind] += 1
    assert set(seen) == {'click', 'box', 'mask', 'text'}


def test_rows_belong_to_their_segments_and_never_to_crowds(named_sample):
    results = simulate(named_sample())
    assert sorted(set(results['prompt_targets'].tolist())) == [0, 1]
    assert results['prompts'].object_ids.tolist() == [
        [7, 8][target] for target in results['prompt_targets']
    ]


def test_texts_are_the_segments_own_and_not_repeated(named_sample):
    for seed in range(10):
        results = simulate(named_sample(seed=seed), kinds={'text': 1, 'click': 1}, combine_prob=0)
        texts = [text for text in results['prompts'].texts if text is not None]
        assert texts in ([], [WORDS[0]])
        for text, target in zip(results['prompts'].texts, results['prompt_targets'], strict=True):
            assert text is None or target == 0


def test_only_named_segments_are_left_when_there_is_only_text(named_sample):
    results = simulate(named_sample(), kinds={'text': 1}, combine_prob=0)
    assert results['prompts'].texts == (WORDS[0],)
    sample = {**named_sample(), 'expressions': [None] * 3}
    empty = simulate(sample, kinds={'text': 1})
    assert len(empty['prompts']) == 0
    empty['prompts'].validate()


@pytest.mark.parametrize('interior_prob', [0.0, 1.0])
def test_clicks_are_inside(named_sample, interior_prob):
    for seed in range(10):
        results = simulate(named_sample(seed=seed), kinds={'click': 1}, interior_prob=interior_prob)
        columns, rows = results['prompts'].point_coords[:, 0].long().T
        assert results['masks'][results['prompt_targets'], 0, rows, columns].all()
        if interior_prob:
            assert len(set(zip(columns.tolist(), rows.tolist(), strict=True))) == 2


def test_boxes_move_a_little_and_stay_inside(named_sample):
    tight = torch.tensor([[3.0, 2.0, 12.0, 10.0], [20.0, 12.0, 36.0, 22.0]])
    moves = []
    for seed in range(60):
        results = simulate(named_sample(seed=seed), kinds={'box': 1}, combine_prob=0)
        boxes, truth = results['prompts'].boxes, tight[results['prompt_targets']]
        sides = (truth[:, 2:] - truth[:, :2]).repeat(1, 2)
        moves.append((boxes - truth) / sides)
        assert (boxes >= 0).all() and (boxes <= torch.tensor([40.0, 24.0, 40.0, 24.0])).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    moves = torch.cat(moves)
    assert moves.abs().max() <= 0.2 + 1e-6
    assert 0.08 < moves.std() < 0.11


def test_boxes_without_noise_are_tight(named_sample):
    results = simulate(named_sample(), kinds={'box': 1}, box_noise=0, combine_prob=0)
    row = results['prompt_targets'].tolist().index(1)
    assert results['prompts'].boxes[row].tolist() == [20, 12, 36, 22]


def test_boxes_of_single_pixels_stay_valid(named_sample):
    for seed in range(10):
        sample = named_sample(seed=seed)
        sample['masks'][:] = False
        sample['masks'][0, 0, -1, -1] = sample['masks'][1, 0, 0, 0] = True
        prompts = simulate(sample, box_noise=0.4)['prompts']
        prompts.validate()
        assert prompts.masks is None or prompts.masks[prompts.has_mask].flatten(1).any(dim=1).all()


def test_combined_rows_hold_two_kinds(named_sample):
    results = simulate(named_sample(), combine_prob=1.0)
    prompts = results['prompts']
    for row, kind in enumerate(results['prompt_kinds']):
        assert bool(prompts.has_point[row]) is (kind != 'mask')
        if kind == 'click':
            assert prompts.texts[row] == WORDS[results['prompt_targets'][row]]


def test_kinds_occur_as_often_as_asked_on_shapes():
    dataset = ShapesDataset(
        'interactive_image', num_samples=40, pipeline=[{'type': 'SimulatedPrompts'}]
    )
    counts = Counter(kind for index in range(40) for kind in dataset[index]['prompt_kinds'])
    share = {kind: count / counts.total() for kind, count in counts.items()}
    wanted = {'click': 0.4, 'box': 0.2, 'mask': 0.15, 'text': 0.25}
    assert share == {kind: pytest.approx(value, abs=0.06) for kind, value in wanted.items()}


def test_clips_are_prompted_on_the_first_visible_frame(named_sample):
    sample = named_sample(num_frames=3)
    sample['masks'][1, 0] = False
    results = simulate(sample)
    assert torch.equal(results['prompts'].frame_index, results['prompt_targets'])


def test_a_sample_without_usable_segments_gets_no_prompts(named_sample):
    sample = named_sample()
    sample['masks'][:2] = False
    results = simulate(sample)
    assert len(results['prompts']) == len(results['prompt_targets']) == 0
    assert results['prompt_kinds'] == []
    results['prompts'].validate()


def test_the_same_sample_gets_the_same_prompts(named_sample):
    first, again = simulate(named_sample(seed=3)), simulate(named_sample(seed=3))
    assert first['prompts'].texts == again['prompts'].texts
    torch.testing.assert_close(first['prompts'].boxes, again['prompts'].boxes, equal_nan=True)
    assert torch.equal(first['prompts'].masks, again['prompts'].masks)
    other = simulate(named_sample(seed=4))
    assert other['prompt_kinds'] != first['prompt_kinds']


def test_prompts_reach_the_network(named_sample):
    results = simulate(named_sample())
    packed = PackClip()(results)
    batch = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
    sample = ClipPreprocessor()(batch, training=True)['data_samples'][0]
    assert sample.prompt_kinds == results['prompt_kinds']
    assert sample.prompts.masks.shape == (12, 32, 64)
    assert sample.prompts.masks.dtype == torch.float32
    assert torch.equal(sample.prompts.masks[:, :24, :40], results['prompts'].masks.float())


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'num_prompts': 0}, 'num_prompts'),
        ({'kinds': {'clik': 1}}, r"kinds: unknown prompt kind 'clik'.*Did you mean 'click'"),
        ({'kinds': {}}, 'kinds: expected some of'),
        ({'kinds': {'box': 0}}, 'kinds: expected frequencies'),
        ({'kinds': {'box': 2, 'click': -1}}, 'kinds: expected frequencies'),
        ({'kinds': {'box': np.nan}}, 'kinds: expected frequencies'),
        ({'interior_prob': 1.2}, 'interior_prob'),
        ({'combine_prob': -0.2}, 'combine_prob'),
        ({'box_noise': 0.6}, 'box_noise'),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        SimulatedPrompts(**settings)


def test_expressions_out_of_step_are_refused(named_sample):
    with pytest.raises(ValueError, match=r'one expression .* each of 3 segments, got 2'):
        simulate({**named_sample(), 'expressions': ['a', 'b']})
