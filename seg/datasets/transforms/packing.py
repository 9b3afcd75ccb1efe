"""The last step of every pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData
from torch import Tensor

from seg.datasets.transforms.results import SEGMENT_KEYS, Results
from seg.registry import TRANSFORMS
from seg.structures import ClipSample, Task

META_KEYS = (
    'img_id',
    'img_path',
    'img_paths',
    'frame_ids',
    'annotated_frames',
    'video_id',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'flip',
    'prompt_kinds',
    'identity_cases',
    'expressions',
    'dataset_name',
    'sample_index',
    'annotated_classes',
    'phrase_labels',
)


@TRANSFORMS.register_module()
class PackClip(BaseTransform):
    """Turn the pipeline's dict into ``dict(inputs=clip, data_samples=ClipSample)``.

    ``inputs`` is uint8 (T, 3, H, W). The sample gets ``gt_segments`` when there are masks,
    ``prompts`` and ``prompt_targets`` when there are prompts: ``prompt_targets[i]`` (int64, (M,))
    is the row of ``gt_segments`` that prompt ``i`` belongs to. The metainfo ``prompt_kinds`` says
    which kind a prompt mainly is, where the transform that made the prompts noted it;
    ``expressions`` what each segment is called, a text or ``None`` per row of ``gt_segments``,
    where the data set has texts; ``identity_cases`` which objects of a clip cross or are hidden.

    Args:
        meta_keys: Further keys to carry as metainfo; missing ones are an error.
    """

    def __init__(self, meta_keys: Sequence[str] = ()) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: Results) -> dict[str, Tensor | ClipSample]:
        """Pack one sample."""
        missing = [key for key in ('clip', 'task', *self.meta_keys) if key not in results]
        if missing:
            raise ValueError(
                f'PackClip: expected the keys {missing} in the sample, got {sorted(results)}; '
                'load the clip before packing and let the data set declare its task'
            )
        clip = results['clip']
        meta = {key: results[key] for key in (*META_KEYS, *self.meta_keys) if key in results}
        meta['task'] = Task.parse(results['task'])
        meta.setdefault('img_shape', tuple(clip.shape[-2:]))
        meta.setdefault('ori_shape', meta['img_shape'])
        sample = ClipSample(metainfo=meta)
        if 'masks' in results:
            present = {key: results[key].contiguous() for key in SEGMENT_KEYS if key in results}
            sample.gt_segments = InstanceData(**present)
        if 'prompts' in results:
            sample.prompts = results['prompts']
        if 'prompt_targets' in results:
            sample.prompt_targets = results['prompt_targets']
        return {'inputs': clip.contiguous(), 'data_samples': sample}
