"""Wrong values that are found when a config is read."""

from pathlib import Path

import pytest

from seg.engine.config_options import load_config
from seg.utils.checks import UserError

NANO = Path(__file__).parents[2] / 'configs' / 'rap_sam' / 'rap_sam_nano_quick_shapes.py'
SOURCES = 'train_dataloader.dataset.sources'
WEIGHTS = 'model.head.task_loss_weights'


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (
            f'{SOURCES}.panoptic.task=panoptc',
            r"sources\.panoptic\.task: unknown task 'panoptc'.*Did you mean 'panoptic'",
        ),
        (f"{WEIGHTS}.panoptic={{'masc': 1.0}}", r"unknown loss 'masc'.*Did you mean 'mask'"),
        (f'{WEIGHTS}.panoptic.mask=-1.0', r'expected a finite weight >= 0, got -1'),
        (f"{WEIGHTS}={{'vso': {{'mask': 1.0}}}}", r"unknown task 'vso'.*Did you mean 'vos'"),
        (
            "train_dataloader.dataset.ratios={'panoptic': 0, 'interactive_image': 1}",
            r"ratios\['panoptic'\]: expected a finite number above 0, got 0; leave a source out",
        ),
        (
            "train_dataloader.dataset.ratios={'panoptic': -2, 'interactive_image': 1}",
            r'expected a finite number above 0, got -2',
        ),
        (
            "train_dataloader.dataset.ratios={'panoptic': 1e999, 'interactive_image': 1}",
            r'expected a finite number above 0, got inf',
        ),
        (
            "train_dataloader.dataset.ratios={'panoptik': 1}",
            r"unknown source 'panoptik'.*Did you mean 'panoptic'",
        ),
    ],
)
def test_a_wrong_value_is_named_when_the_config_loads(option, message):
    with pytest.raises(UserError, match=message) as caught:
        load_config(NANO, [option])
    assert '\n' not in str(caught.value)


def test_right_values_pass():
    cfg = load_config(
        NANO, ["train_dataloader.dataset.ratios={'panoptic': 3, 'interactive_image': 1}"]
    )
    assert cfg.train_dataloader.dataset.ratios == {'panoptic': 3, 'interactive_image': 1}
