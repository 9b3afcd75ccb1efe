"""How Python comes to find the stand-in where mmcv has no compiled operators."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

EXT_NAME = 'mmcv._ext'


class StandInLoader(Loader):
    """Creates the stand-in module; torch is imported only when this happens."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the module object; the import system gives it its ``__spec__``."""
        from ext.mmcv_ops.stand_in import StandIn

        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Put the carried operators into the module."""
        from ext.mmcv_ops.stand_in import CARRIED_OPS

        module.__dict__.update(CARRIED_OPS)


class StandInFinder(MetaPathFinder):
    """Serves ``mmcv._ext`` after every other finder has failed to find a compiled one.

    A spec is found without importing mmcv or the stand-in, as MMEngine's
    ``find_spec('mmcv._ext')`` expects.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the stand-in's spec for ``mmcv._ext``, ``None`` for any other name."""
        if fullname != EXT_NAME:
            return None
        return ModuleSpec(fullname, StandInLoader(), origin='ext.mmcv_ops')


def install() -> None:
    """Make ``mmcv._ext`` importable on an mmcv without compiled operators.

    The finder goes to the end of ``sys.meta_path``: a compiled module in mmcv's folder is found
    before it and is left alone. Calling this again changes nothing, and nothing is imported.
    """
    if not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(StandInFinder())


def is_stand_in_used() -> bool:
    """Whether ``mmcv._ext`` is the stand-in (``True``) or a compiled module (``False``).

    Raises:
        ModuleNotFoundError: If mmcv is absent, or has no compiled operators and :func:`install`
            was not called.
    """
    module = importlib.import_module(EXT_NAME)
    return isinstance(getattr(module.__spec__, 'loader', None), StandInLoader)
