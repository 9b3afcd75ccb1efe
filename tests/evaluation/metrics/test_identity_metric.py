import math

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from seg.evaluation.functional.identity import IdentityCase
from seg.registry import METRICS
from seg.structures import ClipSample, TrackData
from seg.utils.checks import UserError

CASES = (
    IdentityCase(1, 'crossing', 2, 4),
    IdentityCase(2, 'occlusion', 3, 5),
    IdentityCase(2, 'reappearance', 3, 4),
)


def make_sample(swap, cases=CASES, object_ids=(1, 2), img_id=0):
    maps = np.zeros((9, 20, 30), dtype=np.int32)
    maps[:, 2:10, 2:10] = 1
    maps[:, 11:19, 15:25] = 2
    truth = torch.from_numpy(maps)
    prediction = truth.clone()
    if swap:
        prediction[4:] = torch.tensor([0, 2, 1], dtype=torch.int32)[truth[4:]]
    sample = ClipSample(metainfo={'img_id': img_id, 'identity_cases': cases})
    ids = torch.tensor([1, 2])
    sample.gt_segments = InstanceData(
        masks=truth == ids[:, None, None, None], object_ids=ids, is_crowd=ids == 0
    )
    sample.pred_tracks = TrackData(prediction, object_ids)
    return sample.to_dict()


def evaluate(samples):
    metric = METRICS.build({'type': 'IdentityMetric'})
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_shares_of_cases_by_kind():
    samples = [
        make_sample(False),
        make_sample(True, CASES[:1], img_id=1),
        make_sample(True, CASES[2:], img_id=2),
        make_sample(True, (), img_id=3),
    ]
    assert evaluate(samples) == {
        'identity/survival': pytest.approx(100 * 2 / 3),
        'identity/survival_first_sight': 50,
        'identity/survival_crossing': 50,
        'identity/survival_occlusion': 100,
        'identity/survival_reappearance': 50,
        'identity/num_cases': 3,
        'identity/num_reappearances': 2,
    }


def test_without_cases_there_is_no_share():
    scores = evaluate([make_sample(True, ())])
    assert math.isnan(scores['identity/survival'])
    assert scores['identity/num_cases'] == 0


def test_missing_objects_are_named():
    with pytest.raises(UserError, match=r'pred_tracks.object_ids: .*\(1, 3\) without 2'):
        evaluate([make_sample(False, object_ids=(1, 3))])
    with pytest.raises(UserError, match="expected 'identity_cases'"):
        evaluate([make_sample(False, cases=None)])
