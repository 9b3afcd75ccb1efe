"""YouTube-VIS 2019 and 2021: 40 things each (Yang et al., ICCV 2019).

Names and ids (1..40, in this order) are the data set's, the colours are ours.
"""

from __future__ import annotations

from seg.datasets.class_info import ClassInfo, class_info
from seg.datasets.label_space import LabelSpace
from seg.visualization.palettes import class_palette

_CLASSES_2019 = (
    'person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck '
    'cat cow fish train horse turtle bear motorbike giraffe leopard fox deer owl surfboard '
    'airplane truck zebra tiger elephant snowboard boat shark mouse frog eagle earless_seal '
    'tennis_racket'
)

_CLASSES_2021 = (
    'airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc '
    'fox frog giant_panda giraffe horse leopard lizard monkey motorbike mouse parrot person '
    'rabbit shark skateboard snake snowboard squirrel surfboard tennis_racket tiger train truck '
    'turtle whale zebra'
)


def _classes(names: str) -> tuple[ClassInfo, ...]:
    words = names.split()
    colors = class_palette(len(words))
    return tuple(
        class_info(index, name, color)
        for index, (name, color) in enumerate(zip(words, colors, strict=True), start=1)
    )


YOUTUBE_VIS_2019 = LabelSpace('youtube_vis_2019', _classes(_CLASSES_2019))
YOUTUBE_VIS_2021 = LabelSpace('youtube_vis_2021', _classes(_CLASSES_2021))
