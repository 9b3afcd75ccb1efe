"""The loaders that most data sets share, without a data set."""

from mmengine.dataset import DefaultSampler

from seg.datasets.samplers import TaskBatchSampler

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=True),
    batch_sampler=dict(type=TaskBatchSampler),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False),
)
