"""What programs use: load a model, list models, segment images."""

from seg.apis.automatic_masks import AutomaticMaskGenerator
from seg.apis.fast import make_fast
from seg.apis.frame_result import FrameResult
from seg.apis.image_predictor import FoundInstances, ImagePredictor, ImageResult
from seg.apis.inferencer import ImageInput, Inferencer, InferenceResult
from seg.apis.loading import load_model
from seg.apis.model_zoo import ModelEntry, list_models, model_entry
from seg.apis.video_predictor import VideoPredictor
from seg.apis.video_session import VideoSession

__all__ = [
    'AutomaticMaskGenerator',
    'FoundInstances',
    'FrameResult',
    'ImageInput',
    'ImagePredictor',
    'ImageResult',
    'InferenceResult',
    'Inferencer',
    'ModelEntry',
    'VideoPredictor',
    'VideoSession',
    'list_models',
    'load_model',
    'make_fast',
    'model_entry',
]
