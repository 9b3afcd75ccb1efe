import pytest
import torch

from seg.datasets.metainfo import BDD100K, CITYSCAPES, COCO_PANOPTIC
from seg.datasets.metainfo.class_tables import class_table, find_class_table
from seg.registry import MODELS
from seg.structures import ClipSample, PanopticData, Segment
from seg.testing.reference_sam import TOY_SAM, randomize
from seg.testing.tiny_rapsam import tiny_rapsam_cfg, toy_sample
from seg.utils.checks import UserError

TABLE = (4, 3, -1, 1, 0)


@pytest.fixture
def build(tmp_path):
    def make(**changes):
        proposer = tiny_rapsam_cfg(faithful=False)
        torch.save(MODELS.build(proposer).state_dict(), tmp_path / 'rapsam.pth')
        source = dict(type='Pretrained', checkpoint=str(tmp_path / 'rapsam.pth'))
        config = dict(
            type='PanopticPromptedSam',
            proposer={**proposer, 'init_cfg': source},
            class_table=TABLE,
            min_area=4,
            settings=dict(variant=TOY_SAM),
        )
        model = MODELS.build({**config, **changes})
        randomize(model)
        return model.eval()

    return make


def scene_and_sample():
    values = torch.zeros(1, 60, 40, dtype=torch.int32)
    values[0, 10:30, 4:12], values[0, 40:41, 3:5], values[0, 50:60] = 7, 8, 9
    segments = [Segment(7, 1, True, 0.9), Segment(8, 0, True, 0.9), Segment(9, 2, True, 0.9)]
    sample = ClipSample(metainfo=dict(img_shape=(120, 80), ori_shape=(60, 40)))
    return PanopticData(values, segments), sample


def test_segments_become_boxes_of_the_canvas_with_their_classes_here(build):
    """The second is too small, the third has no class."""
    prompts, labels = build().prompts_of(*scene_and_sample())

    assert prompts.boxes.tolist() == [[8, 20, 24, 60]]
    assert labels.tolist() == [3]


def test_pixels_get_classes_of_the_table_without_ground_truth(build):
    model = build()
    clip, sample = toy_sample('panoptic', size=(96, 128))
    data = dict(inputs=[clip, clip], data_samples=[sample, sample.clone()])
    del sample.gt_segments, sample.prompts
    with torch.no_grad():
        found = model.test_step(data)

    for prediction in (item.pred_panoptic for item in found):
        assert prediction.segment_map.shape == (1, 96, 128)
        assert {segment.label for segment in prediction.segments} <= set(TABLE) - {-1}
    assert torch.equal(found[0].pred_panoptic.segment_map, found[1].pred_panoptic.segment_map)


def test_the_proposer_sees_the_picture_through_its_own_preprocessor(build):
    model = build()
    clip, sample = toy_sample('panoptic', size=(96, 128))
    direct = toy_sample('panoptic', size=(96, 128))[1]
    data = model.data_preprocessor(dict(inputs=[clip], data_samples=[sample]))
    (seen,) = model.propose(data['inputs'], data['data_samples'])
    with torch.no_grad():
        (alone,) = model.proposer.test_step(dict(inputs=[clip], data_samples=[direct]))

    assert torch.equal(seen.segment_map, alone.pred_panoptic.segment_map)


def test_the_proposer_is_frozen_and_no_part_of_checkpoints(build):
    model = build()
    plain = MODELS.build(dict(type='SamSegmentor', variant=TOY_SAM))
    assert set(model.state_dict()) == set(plain.state_dict())
    assert not any(value.requires_grad for value in model.proposer.parameters())


def test_wrong_settings_are_named(build):
    with pytest.raises(UserError, match=r'model\.proposer\.init_cfg: expected dict'):
        build(proposer=tiny_rapsam_cfg())
    with pytest.raises(UserError, match="unknown class table 'coco'"):
        build(class_table='coco')
    with pytest.raises(UserError, match=r'got 1 entries and a segment of class 1'):
        build(class_table=(3,)).prompts_of(*scene_and_sample())
    with pytest.raises(UserError, match=r'model\.min_area'):
        build(min_area=0)


def test_weights_of_another_model_are_refused(build, tmp_path):
    model = build()
    torch.save({'head.weight': torch.zeros(1)}, tmp_path / 'rapsam.pth')
    with pytest.raises(UserError, match=r'rapsam\.pth'):
        _ = model.proposer


def test_tables_translate_by_name():
    table = find_class_table('coco_panoptic_to_bdd100k')
    named = {
        COCO_PANOPTIC.class_names[i]: BDD100K.class_names[k] for i, k in enumerate(table) if k >= 0
    }
    assert len(table) == 133
    assert (named['tree-merged'], named['car'], named['road']) == ('vegetation', 'car', 'road')
    assert 'zebra' not in named
    cityscapes = find_class_table('cityscapes_to_bdd100k')
    assert [BDD100K.class_names[k] for k in cityscapes] == list(CITYSCAPES.class_names)
    with pytest.raises(UserError, match="unknown class of bdd100k 'tree'"):
        class_table(COCO_PANOPTIC, BDD100K, {'tree-merged': 'tree'})
