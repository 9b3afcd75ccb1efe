"""What of a pretrained model is trained, and the small parts that are added for it."""

from seg.models.peft.bottleneck_adapter import BottleneckAdapter
from seg.models.peft.strategies import (
    TrainAdapters,
    TrainAll,
    TrainDecoder,
    TrainLora,
    TuningStrategy,
)

__all__ = [
    'BottleneckAdapter',
    'TrainAdapters',
    'TrainAll',
    'TrainDecoder',
    'TrainLora',
    'TuningStrategy',
]
