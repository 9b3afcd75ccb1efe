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
from seg.utils.safe_loaders import install_safe_loaders

install_safe_loaders()

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
