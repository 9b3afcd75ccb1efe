import pytest
import torch
from mmengine.structures import InstanceData

from seg.evaluation.clip_corrections import correction_clicks, with_clicks
from seg.structures import ClipSample, Prompts, TrackData

SIZE = (12, 12)


def clip():
    """Three objects of four frames: half found, spilled over, and prompted late."""
    masks = torch.zeros(3, 4, *SIZE, dtype=torch.bool)
    masks[0, :, :4], masks[1, :, 4:8], masks[2, :, 8:] = True, True, True
    sample = ClipSample(metainfo=dict(img_shape=(24, 24), ori_shape=SIZE, img_id=0))
    sample.gt_segments = InstanceData(masks=masks, object_ids=torch.tensor([5, 6, 7]))
    sample.prompts = Prompts.create(
        points=torch.zeros(3, 1, 2),
        object_ids=torch.tensor([5, 6, 7]),
        frame_index=torch.tensor([0, 0, 2]),
    )
    sample.prompt_targets = torch.arange(3)
    id_maps = torch.zeros(4, *SIZE, dtype=torch.int32)
    id_maps[:, :4, :6] = 5
    id_maps[:, 4:] = 6
    sample.pred_tracks = TrackData(id_maps, (5, 6, 7))
    return sample


def with_corrections(sample, frame, min_area):
    return with_clicks(sample, correction_clicks(sample, frame, min_area), frame)


def test_the_largest_error_is_clicked():
    sample = clip()
    corrected = with_corrections(sample, 2, 1)
    prompts = corrected.prompts

    assert 'pred_tracks' not in corrected
    assert prompts.object_ids.tolist() == [5, 6, 7, 5, 6]  # 7 is prompted on that frame itself
    assert prompts.frame_index.tolist() == [0, 0, 2, 2, 2]
    assert corrected.prompt_targets.tolist() == [0, 1, 2, 0, 1]
    assert prompts.point_labels[3:].tolist() == [[1], [0]]  # missed, spilled
    (missed,), (spilled,) = (prompts.point_coords[3:] / 2).long().tolist()  # to the original
    assert sample.gt_segments.masks[0, 2, missed[1], missed[0]]
    assert spilled[1] >= 8


def test_objects_that_are_right_or_hidden_are_left_alone():
    sample = clip()
    sample.gt_segments.masks[0, 2] = False  # hidden, though something is answered
    sample.gt_segments.masks[1, 2, 8:] = True  # right
    corrected = with_corrections(sample, 2, 1)

    assert len(corrected.prompts) == 3
    assert corrected.gt_segments is sample.gt_segments


@pytest.mark.parametrize(('min_area', 'count'), [(48, 5), (49, 3)])
def test_small_objects_are_not_corrected(min_area, count):
    assert len(with_corrections(clip(), 2, min_area).prompts) == count
