"""Keeping heavy optional packages out of start-up.

Where ``transformers`` is installed, MMEngine's optimizer builder and MMDetection's text-prompted
models import it whether or not it is used, which more than doubles the time to start (and peft
follows it). :func:`install_light_imports` makes those modules, and only those, find it absent.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

HEAVY_PACKAGES = ('transformers', 'peft')

# Modules that import a heavy package at their top and go without it where it is not installed.
EAGER_MODULES = frozenset(
    {
        'mmengine.optim.optimizer.builder',
        'mmdet.datasets.transforms.text_transformers',
        'mmdet.models.dense_heads.atss_vlfusion_head',
        'mmdet.models.language_models.bert',
        'mmdet.models.utils.vlfuse_helper',
    }
)


@contextlib.contextmanager
def heavy_packages_hidden() -> Iterator[None]:
    """Let imports of :data:`HEAVY_PACKAGES` fail as if absent; those already imported stay."""
    names = [name for name in HEAVY_PACKAGES if name not in sys.modules]
    # ``None`` is how Python marks a module that must not be found.
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


class _LightLoader(SourceFileLoader):
    """Runs a module's source while the heavy packages are hidden."""

    def exec_module(self, module: ModuleType) -> None:
        with heavy_packages_hidden():
            super().exec_module(module)


class _LightFinder(MetaPathFinder):
    """Gives :data:`EAGER_MODULES` the loader above and leaves every other module alone."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in EAGER_MODULES:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _LightLoader(spec.loader.name, spec.loader.path)
        return spec


def install_light_imports() -> None:
    """Keep the hosts from importing transformers and peft; importing them yourself still works.

    MMDetection's text-prompted models (GLIP, Grounding DINO) need ``import transformers`` before
    MMDetection is imported: a package that is already there is not hidden. Calling this again
    changes nothing, and nothing is imported.
    """
    if not any(isinstance(finder, _LightFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LightFinder())
