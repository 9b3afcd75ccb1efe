"""The joint model without a task embedding: only prompts, routes and adapters tell tasks apart."""

from mmengine.config import read_base

from seg.models.routing import TaskRouter

with read_base():
    from ..rap_sam_nano_joint_shapes import *

model['head'].update(router=dict(type=TaskRouter, marks_tasks=False))
