"""What all configs share: runner, hooks, environment and logging."""

from mmengine.hooks import IterTimerHook, LoggerHook, ParamSchedulerHook, RuntimeInfoHook
from mmengine.runner import LogProcessor
from mmengine.visualization import LocalVisBackend, TensorboardVisBackend, Visualizer

from seg.engine.hooks import (
    DataShareHook,
    LearningCurveHook,
    ProgressHook,
    SafeCheckpointHook,
    SamplerEpochHook,
    ValPictureHook,
)
from seg.engine.runner import SegRunner

default_scope = None
runner_type = SegRunner

default_hooks = dict(
    runtime_info=dict(type=RuntimeInfoHook),
    timer=dict(type=IterTimerHook),
    sampler_seed=dict(type=SamplerEpochHook),
    logger=dict(type=LoggerHook, interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=SafeCheckpointHook, interval=1000, max_keep_ckpts=2),
    learning_curve=dict(type=LearningCurveHook),
    data_share=dict(type=DataShareHook),
    progress=dict(type=ProgressHook),
    val_pictures=dict(type=ValPictureHook, max_samples=4),
)
custom_hooks = []

# Processes: NCCL on GPUs, gloo without. Batches of different tasks use different parameters.
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl', timeout=1800),
)
find_unused_parameters = True
sync_bn = 'torch'

vis_backends = [dict(type=LocalVisBackend), dict(type=TensorboardVisBackend)]
visualizer = dict(type=Visualizer, vis_backends=vis_backends)
log_processor = dict(type=LogProcessor, window_size=50, by_epoch=False)
log_level = 'INFO'

randomness = dict(seed=0)
load_from = None
resume = False
