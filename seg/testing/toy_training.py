"""A network of a few parameters with data and a metric, to test how training is run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset

import seg
from seg.registry import DATASETS, METRICS, MODELS

_CONFIG = """
from mmengine.config import read_base

with read_base():
    from .default_runtime import *

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.optim import CosineAnnealingLR, OptimWrapper
from torch.optim import AdamW

from seg.testing.toy_training import ToyDataset, ToyMetric, ToyModel

model = dict(type=ToyModel)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type=InfiniteSampler, shuffle=True),
    dataset=dict(type=ToyDataset),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(type=ToyDataset, noise=0.0),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=ToyMetric)
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=False, max_iters=20, val_interval=5)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=0.01))
param_scheduler = [dict(type=CosineAnnealingLR, by_epoch=False, T_max=20)]
default_hooks.update(checkpoint=dict(interval=5, save_best='toy/score'), val_pictures=None)
"""


def write_toy_config(folder: Path) -> Path:
    """Write a config that trains the toy network for 20 iterations on the shipped runtime settings.

    Args:
        folder: Where to write it and what it is based on.

    Returns:
        The config file.
    """
    runtime = Path(seg.__file__).parent.parent / 'configs' / 'default_runtime.py'
    shutil.copy(runtime, folder / runtime.name)
    path = folder / 'toy_training.py'
    path.write_text(_CONFIG, encoding='utf-8')
    return path


@DATASETS.register_module()
class ToyDataset(Dataset):
    """Noisy points of a line; the noise comes from NumPy's global generator at every access.

    Args:
        num_samples: Length of the data set.
        noise: Standard deviation of the noise.
    """

    metainfo: dict[str, Any] = {'classes': ('line',), 'palette': np.zeros((1, 3), np.uint8)}  # noqa: RUF012

    def __init__(self, num_samples: int = 16, noise: float = 0.1) -> None:
        self.num_samples = num_samples
        self.noise = noise

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        x = torch.linspace(-1, 1, self.num_samples)[index].reshape(1)
        noise = float(np.random.normal(0, self.noise)) if self.noise else 0.0  # noqa: NPY002
        return {'inputs': x, 'targets': 2 * x - 1 + noise}


@MODELS.register_module()
class ToyModel(BaseModel):
    """Two linear layers with dropout and batch norm.

    Args:
        width: Number of hidden units.
        dropout: Share of hidden units that are dropped in training.
    """

    def __init__(self, width: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(1, width), nn.BatchNorm1d(width), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, 1)

    def forward(
        self, inputs: Sequence[Tensor], targets: Sequence[Tensor], mode: str = 'tensor'
    ) -> Any:
        """Predictions (B, 1), or the loss when ``mode`` is ``'loss'``."""
        outputs = self.output(self.dropout(self.hidden(torch.stack(list(inputs)))))
        expected = torch.stack(list(targets))
        if mode == 'loss':
            return {'loss_line': (outputs.float() - expected).square().mean()}
        return [{'error': float(error)} for error in (outputs.float() - expected).abs().flatten()]


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """Minus the mean absolute error."""

    default_prefix = 'toy'

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, float]]) -> None:
        """Remember the errors of one batch."""
        self.results += [sample['error'] for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """The score and, for hooks that choose among several, its negative."""
        error = float(np.mean(results))
        return {'score': -error, 'error': error}
