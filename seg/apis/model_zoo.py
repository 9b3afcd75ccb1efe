"""The models that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message
from seg.utils.paths import asset, config_dir


@dataclass(frozen=True)
class ModelEntry:
    """One model that can be loaded by name.

    Attributes:
        name: What :func:`~seg.apis.load_model` calls it.
        config: Path of its config below the folder of shipped configs.
        weights: Name of its weights in the package's assets.
        knows: What it has learned to see, in words that follow "it knows only".
    """

    name: str
    config: str
    weights: str
    knows: str

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """What it was trained for: the tasks of the training data of its config."""
        from seg.engine.config_options import load_config

        sources = load_config(self.config_path).train_dataloader.dataset.sources
        return tuple(dict.fromkeys(Task.parse(source.task) for source in sources.values()))

    @property
    def config_path(self) -> Path:
        """The config file."""
        return config_dir() / self.config

    @property
    def weights_path(self) -> Path:
        """The file of weights.

        Raises:
            FileNotFoundError: If the package was installed without it.
        """
        return asset(self.weights)


DEFAULT_MODEL = 'rap_sam_nano_shapes'

MODEL_ZOO = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name=DEFAULT_MODEL,
            config='rap_sam/rap_sam_nano_shapes.py',
            weights='rap_sam_nano_shapes.safetensors',
            knows=(
                'Shapes, the small drawn world that comes with this package (8 outlines on '
                '3 textures)'
            ),
        ),
    )
}


def list_models() -> list[str]:
    """Names of the models that :func:`~seg.apis.load_model` loads without further files."""
    return sorted(MODEL_ZOO)


def model_entry(name: str) -> ModelEntry:
    """What is known about a model of the package.

    Raises:
        UserError: If there is no such model.
    """
    if name not in MODEL_ZOO:
        raise UserError(
            f'{unknown_name_message("model", name, MODEL_ZOO)} A config of your own is given by '
            'its path, which ends in .py.'
        )
    return MODEL_ZOO[name]
