"""Networks; importing this registers every model component."""

from seg.models import (
    backbones,
    classifiers,
    data_preprocessors,
    decoders,
    detectors,
    heads,
    losses,
    memory,
    necks,
    peft,
    prompts,
    refinement,
    routing,
)

__all__ = [
    'backbones',
    'classifiers',
    'data_preprocessors',
    'decoders',
    'detectors',
    'heads',
    'losses',
    'memory',
    'necks',
    'peft',
    'prompts',
    'refinement',
    'routing',
]
