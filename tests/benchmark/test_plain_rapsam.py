"""The plain baseline of benchmarks computes what the public reference computes."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from seg.benchmark.plain_rapsam import PlainRapSAM
from seg.testing.goldens import golden_features, golden_prototypes, golden_weights
from seg.testing.parity import compare

WIDTHS = (64, 128, 256, 512)


@pytest.fixture(scope='module')
def folder(repository):
    return repository / 'tests' / 'data' / 'rapsam'


@pytest.fixture(scope='module')
def case(folder):
    spec = json.loads((folder / 'names.json').read_text())['public']
    with np.load(folder / 'public.npz') as stored:
        return spec, {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.fixture(scope='module')
def plain(case):
    spec, _ = case
    prototypes = golden_prototypes(
        spec['num_things'] + spec['num_stuff'], spec['embed_dim'], spec['seed']
    )
    model = PlainRapSAM(18, spec['num_queries'], spec['embed_dim'], prototypes).eval()
    model.load_state_dict(golden_weights(spec['shapes'], spec['seed']))
    return model


def check(outputs, goldens, kind):
    for i, output in enumerate(outputs):
        named = {f'{kind}_cls_{i}': output.class_logits, f'{kind}_mask_{i}': output.mask_logits}
        named |= {f'{kind}_iou_{i}': output.iou_logits, f'{kind}_queries_{i}': output.queries}
        for name, value in named.items():
            if name in goldens:
                assert compare(name, value.reshape(goldens[name].shape), goldens[name]).within, name


def head_features(seed, count, tag):
    return 3 * F.avg_pool2d(golden_features((count, 256, 24, 32), seed, tag), 5, 1, 2)


@torch.no_grad()
def test_the_neck_equals_the_golden(plain, case):
    spec, goldens = case
    feats = [
        golden_features((2, width, 24 >> i, 32 >> i), spec['seed'], i)
        for i, width in enumerate(WIDTHS)
    ]

    assert compare('neck_out', plain.neck(feats), goldens['neck_out']).within


@torch.no_grad()
def test_the_head_equals_the_goldens_on_images(plain, case):
    spec, goldens = case
    outputs = plain.panoptic_head(head_features(spec['seed'], 2, 10))

    check(outputs, goldens, 'image')
    assert compare('image_queries', outputs[-1].queries, goldens['image_queries']).within


@torch.no_grad()
def test_the_head_equals_the_goldens_on_clips(plain, case):
    spec, goldens = case
    clips = head_features(spec['seed'], 6, 11).unflatten(0, (2, 3)).transpose(1, 2).flatten(2, 3)
    outputs = plain.panoptic_head(clips)

    check(outputs, goldens, 'video')
    assert compare('video_queries', outputs[-1].queries, goldens['video_queries']).within


@torch.no_grad()
def test_the_head_equals_the_goldens_on_prompts(plain, case):
    spec, goldens = case
    x1, y1, x2, y2 = (goldens['prompt_boxes'].float() / torch.tensor([128.0, 96, 128, 96])).unbind(
        -1
    )
    boxes = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], dim=-1)
    outputs = plain.panoptic_head(
        head_features(spec['seed'], 2, 10), boxes, goldens['prompt_labels']
    )

    check(outputs, goldens, 'prompt')
    assert compare('prompt_queries', outputs[-1].queries, goldens['prompt_queries']).within


@torch.no_grad()
def test_the_network_equals_the_golden(plain, case):
    _, goldens = case
    outputs = plain(plain.preprocess(goldens['net_image'][0]))

    check(outputs, goldens, 'net')
