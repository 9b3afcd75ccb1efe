"""mmcv's operators without a compiler: a stand-in for ``mmcv._ext`` on torchvision and torch.

Installed the ordinary way, mmcv comes without its compiled module ``mmcv._ext`` and importing
MMDetection fails. :func:`install` makes Python find a stand-in instead when, and only when, there
is no compiled module. It carries the operators listed in
:data:`ext.mmcv_ops.stand_in.CARRIED_OPS`; any other operator can be looked up, so that every
MMDetection module imports, and raises :class:`MissingOperatorError` when it is called.
"""

from ext.mmcv_ops.finder import install, is_stand_in_used

__all__ = ['install', 'is_stand_in_used']
