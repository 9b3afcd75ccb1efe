"""The streaming memory of tasks that follow objects through videos."""

from seg.models.memory.memory_adapter import (
    ExpectedObjects,
    MemoryReadout,
    SeenObjects,
    StreamingMemoryAdapter,
    mask_stability,
)
from seg.models.memory.memory_bank import MemoryBank, UpdateStrategy
from seg.models.memory.memory_reader import FrameKeys, MemoryReader, ProposedMasks
from seg.models.memory.memory_state import MemoryState
from seg.models.memory.object_memory import ObjectMemory

__all__ = [
    'ExpectedObjects',
    'FrameKeys',
    'MemoryBank',
    'MemoryReader',
    'MemoryReadout',
    'MemoryState',
    'ObjectMemory',
    'ProposedMasks',
    'SeenObjects',
    'StreamingMemoryAdapter',
    'UpdateStrategy',
    'mask_stability',
]
