import numpy as np
import pytest
import torch
from mmengine.config import Config
from segment_anything import SamAutomaticMaskGenerator

from ext.sam import sam_variant
from seg.apis.automatic_masks import AutomaticMaskGenerator, coco_annotations
from seg.datasets.shapes import ShapesWorld
from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM, randomize, reference_sam
from seg.utils.checks import UserError

SETTINGS = dict(
    points_per_side=4,
    points_per_batch=5,
    pred_iou_thresh=0.2,
    stability_score_thresh=0.01,
    stability_score_offset=0.01,
)
SIZE = TOY_SAM['native_size']


def build():
    """A SAM whose predicted qualities lie in (0, 1), as those of a trained one do."""
    model = MODELS.build(dict(type='SamSegmentor', variant=TOY_SAM))
    randomize(model)
    with torch.no_grad():
        model.mask_decoder.iou_prediction_head.layers[-1].weight.mul_(0.2)
        model.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(0.5)
    pipeline = [dict(type='TestResize', scale=(SIZE, SIZE)), dict(type='PackClip')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.entry = None
    return model.eval()


def both(image, **settings):
    model = build()
    host = reference_sam(sam_variant(TOY_SAM))
    host.load_state_dict(model.state_dict())
    ours = AutomaticMaskGenerator(model, **SETTINGS, **settings).generate(image)
    return ours, SamAutomaticMaskGenerator(host, **SETTINGS, **settings).generate(image)


@pytest.mark.parametrize(
    'settings', [{}, dict(box_nms_thresh=1.0), dict(crop_n_layers=1), dict(min_mask_region_area=9)]
)
def test_equal_to_segment_anything(settings):
    image = ShapesWorld(size=(96, SIZE)).image(0).clip[0]
    ours, theirs = both(image, **settings)

    def key(mask):
        return (-mask['predicted_iou'], mask['bbox'])

    assert len(ours) == len(theirs) >= (48 if 'box_nms_thresh' in settings else 1)
    for a, b in zip(sorted(ours, key=key), sorted(theirs, key=key), strict=True):
        assert (a['segmentation'] != b['segmentation']).mean() < 0.002
        assert a['predicted_iou'] == pytest.approx(b['predicted_iou'], abs=1e-4)
        assert a['stability_score'] == pytest.approx(b['stability_score'], abs=0.02)
        assert np.allclose(a['bbox'], b['bbox'], atol=1)
        assert a['point_coords'] == b['point_coords'] or a['crop_box'] == b['crop_box']


def test_coco_output_reads_back():
    from pycocotools import mask as coco_mask

    image = ShapesWorld(size=(96, SIZE)).image(1).clip[0]
    masks = AutomaticMaskGenerator(build(), **SETTINGS, output_mode='coco_rle').generate(image)
    annotations = coco_annotations(masks, image_id=7, first_id=3)

    assert [a['id'] for a in annotations] == list(range(3, 3 + len(masks)))
    assert coco_mask.decode(annotations[0]['segmentation']).sum() == annotations[0]['area']


def test_an_image_may_hold_nothing():
    settings = {**SETTINGS, 'pred_iou_thresh': 0.999}
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert AutomaticMaskGenerator(build(), **settings).generate(image) == []


def test_wrong_settings_are_named():
    with pytest.raises(UserError, match=r'points_per_side: expected at least 1, got 0'):
        AutomaticMaskGenerator(build(), points_per_side=0)
    with pytest.raises(UserError, match="unknown output_mode 'rle'"):
        AutomaticMaskGenerator(build(), output_mode='rle')
    with pytest.raises(UserError, match='image: expected'):
        AutomaticMaskGenerator(build(), **SETTINGS).generate(np.zeros((4, 4)))
