"""What happens around training iterations and validation."""

from seg.engine.hooks.checkpoint_hook import SafeCheckpointHook
from seg.engine.hooks.data_share_hook import DataShareHook
from seg.engine.hooks.deployment_hook import DeploymentHook
from seg.engine.hooks.learning_curve_hook import LearningCurveHook
from seg.engine.hooks.progress_hook import ProgressHook
from seg.engine.hooks.sampler_epoch_hook import SamplerEpochHook
from seg.engine.hooks.steering_hook import SteeringHook
from seg.engine.hooks.step_cost_hook import StepCostHook
from seg.engine.hooks.time_budget_hook import CosineByProgressHook, TimeBudgetHook
from seg.engine.hooks.trained_weights_hook import TrainedWeightsHook
from seg.engine.hooks.val_picture_hook import ValPictureHook

__all__ = [
    'CosineByProgressHook',
    'DataShareHook',
    'DeploymentHook',
    'LearningCurveHook',
    'ProgressHook',
    'SafeCheckpointHook',
    'SamplerEpochHook',
    'SteeringHook',
    'StepCostHook',
    'TimeBudgetHook',
    'TrainedWeightsHook',
    'ValPictureHook',
]
