import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from seg.registry import VISUALIZERS
from seg.structures import ClipSample, PanopticData, Prompts, Segment
from seg.testing.tiny_rapsam import toy_sample
from seg.visualization import SegmentVisualizer, class_color, id_color
from seg.visualization.layers import Layer, prompts_on_image, with_colors_of

CLASSES = ('disc', 'star', 'water')


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def square_map():
    """Void but for a disc-like square (id 1) and a strip of water (id 2)."""
    ids = torch.zeros(1, 96, 128, dtype=torch.int32)
    ids[0, 20:60, 30:70] = 1
    ids[0, 80:] = 2
    return PanopticData(ids, [Segment(1, 0, True, 0.9), Segment(2, 2, False, 0.8)])


def plain(**settings):
    return SegmentVisualizer(min_size=0, show_labels=False, **settings)


def sample_with(**fields):
    sample = ClipSample(metainfo={'ori_shape': (96, 128), 'img_shape': (192, 256)})
    for name, value in fields.items():
        setattr(sample, name, value)
    return sample


def gt_of(panoptic):
    masks = torch.stack([panoptic.segment_map == s.id for s in panoptic.segments])
    labels = torch.tensor([s.label for s in panoptic.segments])
    return InstanceData(
        masks=masks, labels=labels, object_ids=torch.arange(1, 3), is_crowd=torch.zeros(2).bool()
    )


def test_it_is_registered():
    assert isinstance(VISUALIZERS.build({'type': 'SegmentVisualizer'}), SegmentVisualizer)


def test_only_covered_pixels_change(image):
    panoptic = square_map()
    picture = plain().draw_panoptic(image, panoptic, CLASSES)
    void = (panoptic.segment_map[0] == 0).numpy()
    assert (picture[void] == image[void]).all()
    assert (picture[~void] != image[~void]).any(axis=1).mean() > 0.98


def test_the_tint_is_the_mean_at_half_opacity(image):
    picture = plain(thing_alpha=0.5).draw_panoptic(image, square_map(), CLASSES)
    expected = (image[40, 50].astype(float) + id_color(1)) / 2
    assert np.abs(picture[40, 50] - expected).max() <= 0.5


def test_an_outline_has_the_pure_colour(image):
    picture = plain().draw_panoptic(image, square_map(), CLASSES)
    assert tuple(picture[20, 50]) == id_color(1)
    assert tuple(picture[80, 60]) == class_color(2)


def test_no_line_runs_along_the_border_of_the_picture(image):
    picture = plain(stuff_alpha=0.0).draw_panoptic(image, square_map(), CLASSES)
    assert (picture[90:, :] == image[90:, :]).all()


def test_the_input_stays_and_the_output_repeats(image):
    before = image.copy()
    visualizer = SegmentVisualizer(show_scores=True)
    first = visualizer.draw_panoptic(image, square_map(), CLASSES)
    second = visualizer.draw_panoptic(image, square_map(), CLASSES)
    assert (first == second).all()
    assert (image == before).all()


@pytest.mark.parametrize(
    ('size', 'drawn'),
    [
        ((64, 64), (512, 512)),
        ((480, 640), (480, 640)),
        ((1, 1), (480, 480)),
        ((3, 600), (9, 1800)),  # the long side stays below 2000
        ((2000, 3), (2000, 3)),
        ((3, 2400), (3, 2400)),
    ],
)
def test_small_pictures_are_enlarged_by_a_whole_factor(size, drawn):
    panoptic = PanopticData(torch.ones(1, *size, dtype=torch.int32), [Segment(1, 0, True, 1.0)])
    image = np.full((*size, 3), 90, np.uint8)
    assert SegmentVisualizer().draw_panoptic(image, panoptic, CLASSES).shape == (*drawn, 3)


def test_enlarged_masks_stay_where_they_are(image):
    panoptic = square_map()
    picture = SegmentVisualizer(min_size=384, show_labels=False).draw_panoptic(
        np.zeros_like(image), panoptic, CLASSES
    )
    thing = (panoptic.segment_map[0] == 1).numpy().repeat(4, 0).repeat(4, 1)
    painted = picture.any(axis=2)
    painted[300:] = False
    assert np.count_nonzero(painted ^ thing) < 0.03 * np.count_nonzero(thing)


def test_segments_without_pixels_are_no_error(image):
    panoptic = PanopticData(torch.zeros(1, 96, 128).int(), [Segment(7, 1, True, 0.5)])
    assert (plain().draw_panoptic(image, panoptic, CLASSES) == image).all()


def test_instances_below_the_threshold_are_not_drawn(image):
    masks = torch.zeros(2, 1, 96, 128, dtype=torch.bool)
    masks[0, 0, :20], masks[1, 0, 40:60] = True, True
    instances = InstanceData(
        masks=masks, labels=torch.tensor([0, 1]), scores=torch.tensor([0.9, 0.2])
    )
    picture = plain().draw_instances(image, instances, CLASSES, score_threshold=0.5)
    assert (picture[40:60] == image[40:60]).all()
    assert (picture[:20] != image[:20]).any()


def test_prompts_are_drawn_where_they_are(image):
    prompts = Prompts.create(
        points=torch.tensor([[[30.5, 20.5], [100.5, 70.5]]]), point_labels=torch.tensor([[1, 0]])
    )
    picture = plain().draw_prompted(image, np.zeros((1, 96, 128), bool), prompts)
    assert tuple(picture[20, 30]) == (255, 255, 255)  # the bars of plus and minus cross the centre
    assert picture[18, 28, 1] > picture[18, 28, 0]
    assert picture[68, 100, 0] > picture[68, 100, 1]
    assert (picture[:, 50:80] == image[:, 50:80]).all()


def test_a_box_is_drawn_around_its_object(image):
    prompts = Prompts.create(boxes=torch.tensor([[20.0, 10.0, 60.0, 50.0]]))
    picture = plain().draw_prompted(image, np.zeros((1, 96, 128), bool), prompts)
    assert tuple(picture[30, 20]) == id_color(1)
    assert (picture[20:40, 30:50] == image[20:40, 30:50]).all()


def test_masks_and_prompts_must_match(image):
    prompts = Prompts.create(points=torch.zeros(2, 1, 2))
    with pytest.raises(ValueError, match='one for each of 2 prompted objects, got 3'):
        plain().draw_prompted(image, np.zeros((3, 96, 128), bool), prompts)


def test_prompts_of_the_resized_clip_land_on_the_original():
    sample = sample_with(prompts=Prompts.create(points=torch.tensor([[[64.0, 32.0]]])))
    assert prompts_on_image(sample).point_coords.tolist() == [[[32.0, 16.0]]]


def test_a_comparison_shows_three_panels(image):
    panoptic = square_map()
    sample = sample_with(gt_segments=gt_of(panoptic), pred_panoptic=panoptic)
    sheet = plain().draw_comparison(image, sample, CLASSES, num_things=2)
    assert sheet.shape[1] > 3 * 128
    alone = plain().draw_comparison(image, sample_with(pred_panoptic=panoptic), CLASSES)
    assert 2 * 128 < alone.shape[1] < 3 * 128


def test_a_comparison_of_clicks_shows_prompts_and_ground_truth(image):
    panoptic = square_map()
    gt = gt_of(panoptic)
    prompted = InstanceData(
        object_ids=torch.tensor([2]), masks=gt.masks[1:, None], iou_scores=torch.ones(1, 1)
    )
    prompts = Prompts.create(points=torch.tensor([[[128.0, 180.0]]]), object_ids=torch.tensor([2]))
    sample = sample_with(
        gt_segments=gt, pred_prompted=prompted, prompts=prompts, prompt_targets=torch.tensor([1])
    )
    sheet = plain().draw_comparison(image, sample, CLASSES)
    _, truth, prediction = np.split(sheet[:, 6:-6], 3, axis=1)
    assert (truth[6:102, 6:128] == prediction[6:102, 6:128]).any()
    assert sheet.shape[1] > 3 * 128


def test_a_comparison_needs_a_prediction(image):
    with pytest.raises(ValueError, match='pred_panoptic'):
        plain().draw_comparison(image, sample_with(), CLASSES)


def test_the_same_object_has_the_same_colour_in_both():
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    truth = [Layer(mask, (1, 2, 3)), Layer(~mask, (4, 5, 6))]
    predicted = [Layer(~mask, (9, 9, 9)), Layer(np.zeros_like(mask), (4, 5, 6))]
    colors = [layer.color for layer in with_colors_of(predicted, truth)]
    assert colors[0] == (4, 5, 6)
    assert colors[1] not in {(1, 2, 3), (4, 5, 6)}


def test_a_mask_of_another_size_is_named(image):
    panoptic = PanopticData(torch.ones(1, 10, 10).int(), [Segment(1, 0, True, 1.0)])
    with pytest.raises(ValueError, match=r'expected the size of the image \(96, 128\)'):
        plain().draw_panoptic(image, panoptic, CLASSES)


def test_too_few_class_names_are_named(image):
    with pytest.raises(ValueError, match='a name for class 2, got 1 names'):
        plain().draw_panoptic(image, square_map(), ('disc',))


def test_other_images_than_rgb_bytes_are_refused():
    with pytest.raises(ValueError, match='uint8 RGB'):
        plain().draw_panoptic(np.zeros((4, 4)), square_map(), CLASSES)


def test_opacity_is_checked():
    with pytest.raises(ValueError, match='thing_alpha'):
        SegmentVisualizer(thing_alpha=1.5)


def test_a_class_map_is_coloured_by_class(image):
    class_map = np.full((96, 128), -1)
    class_map[:40] = 1
    picture = plain(thing_alpha=1.0).draw_semantic(image, class_map, CLASSES)
    assert (picture[:40] == class_color(1)).all()
    assert (picture[40:] == image[40:]).all()


def test_every_kind_of_prompt_is_drawn():
    image = np.full((100, 120, 3), 90, np.uint8)
    mask = torch.zeros(1, 100, 120)
    mask[0, 60:90, 10:40] = 1
    nothing = np.zeros((1, 100, 120), bool)
    plain = SegmentVisualizer().draw_prompted(
        image, nothing, Prompts.create(points=torch.tensor([[[5.0, 5.0]]]))
    )
    for name, given in {
        'box': dict(boxes=torch.tensor([[20.0, 20, 60, 50]])),
        'mask': dict(masks=mask),
        'text': dict(texts=['a red star']),
    }.items():
        prompts = Prompts.create(points=torch.tensor([[[5.0, 5.0]]]), **given)
        drawn = SegmentVisualizer().draw_prompted(image, nothing, prompts)
        changed = (drawn != plain).any(axis=2)
        assert changed.any(), name
        if name == 'mask':  # a line along the edge, and nothing inside
            scale = len(drawn) // 100
            assert changed[60 * scale : 90 * scale, 10 * scale].mean() > 0.9
            assert not changed[70 * scale : 80 * scale, 20 * scale : 30 * scale].any()


def test_texts_are_written_on_their_masks():
    image = np.full((100, 120, 3), 90, np.uint8)
    masks = np.ones((1, 100, 120), bool)
    texts = [SegmentVisualizer().draw_prompted(image, masks, Prompts.create(texts=[text]))
             for text in ('a', 'a red star')]  # fmt: skip
    assert (texts[0] != texts[1]).any()


def test_a_sample_with_several_kinds_has_a_panel_for_each():
    clip, sample = toy_sample('interactive_image', num_segments=2)
    image = clip[0].permute(1, 2, 0).numpy()
    nan = [float('nan')] * 4
    boxes = torch.tensor([nan, nan, [0.0, 0, 32, 64], [32.0, 0, 64, 64]])
    sample.prompts = Prompts.create(
        points=torch.tensor([[[9.0, 9.0]], [[40.0, 9.0]], [[0.0, 0.0]], [[0.0, 0.0]]]),
        point_labels=torch.tensor([[1], [1], [-1], [-1]]),
        boxes=boxes,
        object_ids=torch.tensor([1, 2, 1, 2]),
    )
    sample.prompt_targets = torch.tensor([0, 1, 0, 1])
    sample.pred_prompted = InstanceData(
        object_ids=sample.prompts.object_ids,
        masks=sample.gt_segments.masks[sample.prompt_targets][:, None],
        iou_scores=torch.ones(4, 1),
    )
    together = SegmentVisualizer().draw_comparison(image, sample, ())
    sample.set_metainfo(dict(prompt_kinds=['click', 'click', 'box', 'box']))
    apart = SegmentVisualizer().draw_comparison(image, sample, ())
    assert apart.shape[1] > together.shape[1]
