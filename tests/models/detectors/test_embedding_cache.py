import numpy as np
import pytest
import torch

from seg.datasets import ShapesDataset
from seg.datasets.transforms import (
    AddImageKey,
    ClipFlip,
    ClipResize,
    FixedViews,
    PackClip,
    RandomSegmentPrompts,
)
from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM, randomize
from seg.utils.checks import UserError

PACK = PackClip(meta_keys=('image_key',))


def dataset(*steps, size=64):
    pipeline = [ClipResize((size, size)), *steps, AddImageKey(), RandomSegmentPrompts(), PACK]
    return ShapesDataset('interactive_image', num_samples=3, pipeline=pipeline)


def build(folder=None, seed=0, **settings):
    cache = None if folder is None else dict(type='EmbeddingCache', folder=folder)
    config = dict(type='SamSegmentor', variant=TOY_SAM, image_size=64, embedding_cache=cache)
    torch.manual_seed(0)  # the frequencies of positions are random and no parameters
    model = MODELS.build({**config, **settings})
    randomize(model, seed)
    model.calls = 0
    encode = model.encode_images

    def counted(images):
        model.calls += len(images)
        return encode(images)

    model.encode_images = counted
    return model.train()


def losses(model, data, indices=(0, 1)):
    items = [data[i] for i in indices]
    batch = {key: [item[key] for item in items] for key in ('inputs', 'data_samples')}
    return model(**model.data_preprocessor(batch, True), mode='loss')


def test_cached_losses_are_the_uncached_ones(tmp_path):
    plain = losses(build(), dataset())
    cached = build(tmp_path)
    first, second = losses(cached, dataset()), losses(cached, dataset())

    assert cached.calls == 2
    for name, value in plain.items():
        assert torch.equal(first[name], second[name])
        assert abs(float((value - first[name]).detach())) < 1e-3


def test_only_what_is_new_is_encoded(tmp_path):
    losses(build(tmp_path), dataset())
    later = build(tmp_path)
    losses(later, dataset(), (1, 2))
    assert later.calls == 1


@pytest.mark.parametrize('change', ['weights', 'image', 'size', 'normalisation'])
def test_a_change_makes_new_entries_and_leaves_the_old_ones(tmp_path, change):
    losses(build(tmp_path), dataset())
    other, data = build(tmp_path), dataset()
    if change == 'weights':
        other = build(tmp_path, seed=1)
    elif change == 'image':
        data = dataset(FixedViews(1, [ClipFlip(prob=1.0)]))
    elif change == 'size':
        other, data = build(tmp_path, image_size=48), dataset(size=48)
    else:
        preprocessor = dict(type='ClipPreprocessor', pad_divisor=64, mean=(0.0, 0.0, 0.0))
        other = build(tmp_path, data_preprocessor=preprocessor)
    losses(other, data)
    assert other.calls == 2

    again = build(tmp_path)
    losses(again, dataset())
    assert again.calls == 0


def test_half_precision_has_entries_of_its_own(tmp_path):
    losses(build(tmp_path), dataset())
    model = build(tmp_path)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses(model, dataset())
    assert model.calls == 2
    losses(model, dataset())
    assert model.calls == 2


def test_a_change_of_the_decoder_keeps_the_cache(tmp_path):
    losses(build(tmp_path), dataset())
    other = build(tmp_path)
    randomize(other.mask_decoder, 3)
    losses(other, dataset())
    assert other.calls == 0


def test_random_changes_of_images_are_refused_by_name():
    with pytest.raises(UserError, match='got ClipFlip before AddImageKey'):
        dataset(ClipFlip())[0]


def test_views_are_fixed_and_prompts_are_not():
    data = dataset(FixedViews(2, [ClipFlip(prob=0.5)], seed=4))
    seen = {}
    boxes = []
    for draw in range(12):
        data.seed = draw
        item = data[0]
        sample = item['data_samples']
        seen[sample.image_key] = item['inputs']
        boxes.append(sample.prompts.boxes[0].numpy())

    assert 1 <= len(seen) <= 2
    assert not np.allclose(boxes[0], boxes[1])


def test_samples_without_a_key_and_trained_encoders_are_refused(tmp_path):
    data = ShapesDataset(
        'interactive_image',
        num_samples=2,
        pipeline=[ClipResize((64, 64)), RandomSegmentPrompts(), PackClip()],
    )
    with pytest.raises(UserError, match='expected samples with image_key'):
        losses(build(tmp_path), data)
    with pytest.raises(UserError, match=r'expected a frozen image encoder.*TrainAll'):
        build(tmp_path, strategy=dict(type='TrainAll'))
