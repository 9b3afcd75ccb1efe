"""The registries of the package, children of MMDetection's; the only file that names the hosts'.

Importing this module makes MMDetection usable on an mmcv without compiled operators (see
:mod:`ext.mmcv_ops`), so any configuration that names MMDetection types can be read afterwards.
"""

from ext.mmcv_ops import install as _install_mmcv_ops
from seg.utils.host_versions import check_host_versions as _check_host_versions
from seg.utils.light_imports import install_light_imports as _install_light_imports

_check_host_versions()
_install_mmcv_ops()
_install_light_imports()

from mmdet import registry as _host  # noqa: E402
from mmengine.registry import STRATEGIES as _HOST_STRATEGIES  # noqa: E402
from mmengine.registry import Registry  # noqa: E402


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope='seg', locations=list(locations))


MODELS = _child('model', _host.MODELS, 'seg.models', 'ext')
DATASETS = _child('dataset', _host.DATASETS, 'seg.datasets')
DATA_SAMPLERS = _child('data sampler', _host.DATA_SAMPLERS, 'seg.datasets.samplers')
TRANSFORMS = _child('transform', _host.TRANSFORMS, 'seg.datasets.transforms')
METRICS = _child('metric', _host.METRICS, 'seg.evaluation.metrics')
EVALUATOR = _child('evaluator', _host.EVALUATOR, 'seg.evaluation.metrics')
HOOKS = _child('hook', _host.HOOKS, 'seg.engine')
LOOPS = _child('loop', _host.LOOPS, 'seg.engine')
RUNNERS = _child('runner', _host.RUNNERS, 'seg.engine')
LOG_PROCESSORS = _child('log processor', _host.LOG_PROCESSORS, 'seg.engine')
OPTIMIZERS = _child('optimizer', _host.OPTIMIZERS, 'seg.engine')
OPTIM_WRAPPERS = _child('optimizer wrapper', _host.OPTIM_WRAPPERS, 'seg.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', _host.OPTIM_WRAPPER_CONSTRUCTORS, 'seg.engine'
)
PARAM_SCHEDULERS = _child('parameter scheduler', _host.PARAM_SCHEDULERS, 'seg.engine')
MODEL_WRAPPERS = _child('model wrapper', _host.MODEL_WRAPPERS, 'seg.engine')
STRATEGIES = _child('strategy', _HOST_STRATEGIES, 'seg.engine')
TASK_UTILS = _child('task util', _host.TASK_UTILS, 'seg.models', 'seg.evaluation.protocols')
VISUALIZERS = _child('visualizer', _host.VISUALIZERS, 'seg.visualization')
VISBACKENDS = _child('vis_backend', _host.VISBACKENDS, 'seg.visualization')
