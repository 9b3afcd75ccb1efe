"""The published checkpoint's names, from its layout, against the names of this package."""

import pytest
import torch
from mmengine.config import Config

from seg.registry import MODELS
from seg.testing.published_layout import published_layout
from seg.utils.checks import UserError
from seg.utils.key_map import KeyMap
from seg.utils.paths import config_dir
from seg.utils.public_names import RAPSAM_NOT_PUBLISHED, RAPSAM_PUBLIC_NAMES


def build(depth):
    """The shipped model without values."""
    path = config_dir() / f'rap_sam/rap_sam_r{depth}_12e_adaptor.py'
    cfg = Config.fromfile(str(path), format_python_code=False).model
    cfg.backbone.init_cfg = None
    with torch.device('meta'):
        return MODELS.build(cfg)


def count_of(shapes):
    buffers = ('running_mean', 'running_var', 'num_batches_tracked')
    return sum(torch.Size(s).numel() for k, s in shapes.items() if not k.endswith(buffers))


@pytest.mark.parametrize(
    ('depth', 'entries', 'parameters'), [(50, 568, 47_252_245), (18, 370, 20_827_445)]
)
def test_every_published_tensor_has_its_place(depth, entries, parameters):
    layout = published_layout(depth)
    assert len(layout) == entries
    assert count_of(layout) == parameters

    model = build(depth)
    ours = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    renamed = RAPSAM_PUBLIC_NAMES.apply(layout)
    extra = set(ours) - set(renamed)

    assert len(renamed) == entries
    assert {k: ours.get(k) for k in renamed} == renamed
    assert {k for k in extra if '.fusion.' not in k} == {
        'head.classifier.prototypes',
        'head.router.task_embed.weight',
    }
    allowed = KeyMap([], drop=RAPSAM_NOT_PUBLISHED).apply(dict.fromkeys(extra))
    assert allowed == {}
    own = sum(p.numel() for n, p in model.named_parameters() if n not in extra)
    assert own == parameters


def test_parts_have_the_published_sizes():
    model = build(50)

    def size(part):
        return sum(
            p.numel()
            for n, p in part.named_parameters()
            if 'task_embed' not in n and '.fusion.' not in n
        )

    assert size(model.backbone) == 23_508_032
    assert size(model.neck) == 15_351_505
    assert size(model.head) == 8_392_708
    assert size(model.head.stages[0]) == 2_436_865


def test_backbone_keeps_its_names():
    names = [name for name in published_layout(50) if name.startswith('backbone.')]

    assert len(names) == 318
    assert [RAPSAM_PUBLIC_NAMES.rename(name) for name in names] == names


def test_our_own_names_are_left_alone():
    """Converting twice, or a checkpoint of this package, changes nothing."""
    ours = list(build(18).state_dict())

    assert [RAPSAM_PUBLIC_NAMES.rename(name) for name in ours] == ours


def test_two_names_that_become_one_are_an_error():
    with pytest.raises(UserError, match='clashes'):
        RAPSAM_PUBLIC_NAMES.apply({'panoptic_head.kernels.weight': 1, 'head.kernels.weight': 2})
