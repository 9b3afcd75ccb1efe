"""The four tasks of the package."""

from __future__ import annotations

from enum import Enum

from seg.utils.checks import unknown_name_message


class Task(str, Enum):
    """What a sample asks of the model; declared by the data, never guessed from it.

    Video instance segmentation and video panoptic segmentation are evaluations of
    ``PANOPTIC`` on clips and therefore no tasks of their own.
    """

    INTERACTIVE_IMAGE = 'interactive_image'
    INTERACTIVE_VIDEO = 'interactive_video'
    VOS = 'vos'
    PANOPTIC = 'panoptic'

    @classmethod
    def parse(cls, value: str | Task) -> Task:
        """Turn a task or its name into a task.

        Args:
            value: A member, or its name such as ``'vos'``.

        Raises:
            ValueError: If the name is unknown; the message lists the names and the nearest one.
        """
        try:
            return cls(value)
        except ValueError:
            names = [task.value for task in cls]
            raise ValueError(unknown_name_message('task', str(value), names)) from None

    @property
    def is_prompted(self) -> bool:
        """Whether objects are named by prompts or first-frame masks rather than found."""
        return self is not Task.PANOPTIC

    def __str__(self) -> str:
        return self.value
