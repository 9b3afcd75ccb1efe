"""The API on the real network with random weights: everything fits together."""

import numpy as np
import pytest
import torch

from seg.apis import Inferencer, load_model, model_entry
from seg.apis.loading import read_config
from seg.registry import MODELS
from seg.utils.checkpoints import write_safetensors


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    config = model_entry('rap_sam_nano_shapes').config_path
    torch.manual_seed(0)
    state = MODELS.build(read_config(config).model).state_dict()
    path = tmp_path_factory.mktemp('weights') / 'nano.safetensors'
    write_safetensors(path, {key: value.half() for key, value in state.items()})
    return load_model(config, path, 'cpu')


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((97, 61), (128, 160))]


def test_everything_comes_back_at_the_size_of_the_image(model, images):
    for image, result in zip(images, Inferencer(model)(images, batch_size=2), strict=True):
        size = image.shape[:2]
        assert result.panoptic.segment_map.shape == (1, *size)
        assert result.semantic_map.shape == size
        assert result.instances.masks.shape[1:] == (1, *size)


def test_one_mask_per_click(model, images):
    clicks = [[[10, 20]], [[50, 90]]]
    for image, result in zip(
        images, Inferencer(model)(images, 'interactive_image', points=clicks), strict=True
    ):
        assert result.masks.shape == (2, *image.shape[:2])
        assert result.iou_scores.shape == (2,)
        assert ((result.iou_scores >= 0) & (result.iou_scores <= 1)).all()


def test_class_names_of_shapes_come_with_the_config(model):
    assert model.dataset_meta['num_things'] == 8
    assert len(model.dataset_meta['classes']) == 11
