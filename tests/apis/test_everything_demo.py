import numpy as np
import pytest
import torch

from seg.apis.demo_tasks import DemoRequest, everything, find_demo_task
from seg.apis.demo_tasks.everything import map_of
from seg.structures import Prompts
from seg.utils.checks import UserError


def test_small_masks_lie_on_large_ones():
    large, small = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
    large[:, :6], small[2:4, 2:4] = True, True
    found = map_of([small, large], np.zeros((6, 8, 3), np.uint8))

    assert found.segment_map[0, 2, 2] == 2
    assert found.segment_map[0, 0, 0] == 1
    assert [segment.id for segment in found.segments] == [1, 2]


def test_it_is_found_by_name_and_takes_no_prompts():
    demo = find_demo_task('everything')
    prompts = Prompts.create(points=torch.zeros(1, 1, 2))
    with pytest.raises(UserError, match='expected no prompts for the task everything'):
        demo.check(None, DemoRequest(prompts=prompts))
    with pytest.raises(UserError, match='everything'):
        find_demo_task('evrything')


def test_thresholds_and_grid_are_those_of_the_request(monkeypatch):
    monkeypatch.setattr(everything, 'AutomaticMaskGenerator', lambda model, **settings: settings)
    settings = everything.make_generator(
        None, DemoRequest(min_iou_score=0.1, min_stability=0.2, points_per_side=3)
    )
    assert settings == dict(points_per_side=3, pred_iou_thresh=0.1, stability_score_thresh=0.2)
    assert everything.make_generator(None, DemoRequest())['pred_iou_thresh'] == 0.5
