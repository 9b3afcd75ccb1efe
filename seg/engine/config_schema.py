"""Which keys a node of a config may have: what its constructor takes, and what the runner reads."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import mmengine.registry
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.registry import Registry
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner, TestLoop, ValLoop
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

import seg.registry
from seg.engine.runner import ResumableTrainLoop
from seg.utils.checks import UserError, unknown_name_message

# Top-level keys that SegRunner reads besides the arguments of MMEngine's Runner.
_RUNNER_EXTRAS = (
    'runner_type',
    'find_unused_parameters',
    'sync_bn',
    'model_wrapper_cfg',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
    'compile',
    'strategy',
)
_DATALOADER_EXTRAS = ('num_batch_per_epoch', 'disable_subprocess_warning')
# mmcv's layer builders take these and complete them, for example with requires_grad.
_LAYER_CONFIGS = ('norm_cfg', 'conv_cfg', 'act_cfg', 'upsample_cfg', 'padding_cfg', 'dcn')
_OPTIM_WRAPPER_EXTRAS = ('constructor', 'paramwise_cfg')
_LAYER_EXTRAS = ('requires_grad', 'override')
_DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_CLIP_KEYS = ('type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'clip_value', 'foreach')
_LOOPS = {('val_cfg',): ValLoop, ('test_cfg',): TestLoop}
_FIXED_NODES = {
    ('env_cfg',): ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    ('env_cfg', 'mp_cfg'): ('mp_start_method', 'opencv_num_threads'),
    ('randomness',): ('seed', 'diff_rank_seed', 'deterministic'),
    ('auto_scale_lr',): ('base_batch_size', 'enable'),
    ('optim_wrapper', 'clip_grad'): _CLIP_KEYS,
}

_ROOTS = (object, nn.Module, Optimizer, BaseLoop)
_VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)

# What the builders pass in, so that a config need not.
_INJECTED = {
    'runner',
    'dataloader',
    'evaluator',
    'dataset',
    'seed',
    'sampler',
    'batch_size',
    'optimizer',
    'params',
    'epoch_length',
    'module',
    'name',
    'save_dir',
}


@dataclasses.dataclass(frozen=True)
class NodeSchema:
    """The keys of one node.

    Attributes:
        name: What the node builds or configures, for messages.
        allowed: Keys it may have; ``None`` if any.
        required: Keys it must have.
        annotations: Declared types of the keys, as source text.
    """

    name: str
    allowed: frozenset[str] | None
    required: frozenset[str] = frozenset()
    annotations: Mapping[str, str] | None = None


ANY = NodeSchema('a free dict', None)


def node_schema(path: tuple[str, ...], node: dict[str, Any]) -> NodeSchema:
    """The schema of a node.

    Args:
        path: Keys that lead from the top of the config to the node; ``()`` is the config.
        node: The node, whose lazy objects are not built yet.

    Raises:
        UserError: If its ``type`` names nothing that exists.
    """
    if not path:
        return _fixed('the config', [*_parameters(Runner), *_RUNNER_EXTRAS])
    if path[-1] in _LAYER_CONFIGS:
        return ANY
    if dict.get(node, 'type') is not None:
        return _typed_schema(path, node)
    return _untyped_schema(path, node)


def resolve_type(value: Any, path: tuple[str, ...]) -> Callable[..., Any]:
    """The class or function that a ``type`` stands for.

    Raises:
        UserError: If there is no such class, or it cannot be imported.
    """
    where = '.'.join((*path, 'type'))
    if isinstance(value, (LazyObject, LazyAttr)):
        try:
            value = value.build()
        except ImportError as error:
            raise UserError(f'{where}: {error}') from error
    if isinstance(value, str):
        return _find_registered(value, where)
    if not callable(value):
        raise UserError(f'{where}: expected a class or a registered name, got {value!r}')
    return value


def _typed_schema(path: tuple[str, ...], node: dict[str, Any]) -> NodeSchema:
    if path[-1] == 'init_cfg' and _is_own_initializer(dict.get(node, 'type')):
        return ANY
    target = resolve_type(dict.get(node, 'type'), path)
    extras = ['type', '_scope_']
    if path[-1].endswith('_cfg'):
        # Their builders pass in more and take settings of their own.
        schema = _schema_of(target, (*extras, *_LAYER_EXTRAS))
        return dataclasses.replace(schema, required=frozenset())
    if inspect.isclass(target):
        if issubclass(target, Hook):
            extras.append('priority')
        elif issubclass(target, OptimWrapper):
            extras += _OPTIM_WRAPPER_EXTRAS
        elif issubclass(target, _ParamScheduler):
            extras.append('convert_to_iter_based')
    return _schema_of(target, tuple(extras))


def _is_own_initializer(name: Any) -> bool:
    """Whether an ``init_cfg`` has a type that only its module knows, not a misspelt common one."""
    known = mmengine.registry.WEIGHT_INITIALIZERS.module_dict
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.8)
    return isinstance(name, str) and not near


def _untyped_schema(path: tuple[str, ...], node: dict[str, Any]) -> NodeSchema:
    if path[0] in _DATALOADERS and len(path) == 1:
        return _fixed('a data loader', [*_parameters(DataLoader), *_DATALOADER_EXTRAS])
    if path == ('optim_wrapper',):
        return _schema_of(OptimWrapper, ('type', *_OPTIM_WRAPPER_EXTRAS))
    if path == ('train_cfg',):
        loop = EpochBasedTrainLoop if dict.get(node, 'by_epoch') else ResumableTrainLoop
        return _schema_of(loop, ('type', 'by_epoch'))
    if path in _LOOPS:
        return _schema_of(_LOOPS[path], ('type',))
    if path in _FIXED_NODES:
        return _fixed('.'.join(path), _FIXED_NODES[path])
    return ANY


def _schema_of(target: Callable[..., Any], extras: tuple[str, ...]) -> NodeSchema:
    parameters = _parameters(target)
    name = getattr(target, '__name__', str(target))
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return NodeSchema(name, None)
    required = {
        key
        for key, parameter in inspect.signature(target).parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in _VARIADIC
        and key not in _INJECTED
    }
    annotations = {key: str(parameter.annotation) for key, parameter in parameters.items()}
    allowed = frozenset(parameters) | frozenset(extras)
    return NodeSchema(name, allowed, frozenset(required), annotations)


def _fixed(name: str, keys: Any) -> NodeSchema:
    return NodeSchema(name, frozenset(keys))


@cache
def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters of a callable; ``**kwargs`` of a class stands for those of its parents.

    Where no parent says what they are, it stays in the result and stands for anything.
    """
    if not inspect.isclass(target):
        found = dict(inspect.signature(target).parameters)
        found.pop('self', None)
        return found
    found = {}
    for base in target.__mro__:
        own = base.__dict__.get('__init__')
        if own is None or base in _ROOTS:
            continue
        parameters = list(inspect.signature(own).parameters.values())[1:]
        found.update({p.name: p for p in parameters if p.name not in found})
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            return {key: p for key, p in found.items() if p.kind not in _VARIADIC}
    return found


def _find_registered(name: str, where: str) -> Callable[..., Any]:
    candidates = [*vars(seg.registry).values(), *vars(mmengine.registry).values()]
    registries = [value for value in candidates if isinstance(value, Registry)]
    loaded = [level.module_dict for registry in registries for level in _lineage(registry)]
    for modules in loaded:
        if name in modules:
            return modules[name]
    # Only now what registries have to import their packages for.
    for registry in registries:
        found = registry.get(name)
        if found is not None:
            return found
    known = {key for modules in loaded for key in modules}
    raise UserError(f'{where}: {_short(unknown_name_message("type", name, known))}')


def _lineage(registry: Registry) -> list[Registry]:
    """A registry and those that it looks in when it does not know a name."""
    return [registry] if registry.parent is None else [registry, *_lineage(registry.parent)]


def _short(message: str) -> str:
    """An unknown-name message without the hundreds of names that exist."""
    head, _, rest = message.partition(': expected one of ')
    hint = rest.rpartition('. Did you mean ')
    return f'{head}. Did you mean {hint[2]}' if hint[1] else head
