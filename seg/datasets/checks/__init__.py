"""Looking for faults in the files of data sets, all of them and not the first one alone."""

from seg.datasets.checks.coco_checks import CocoInstanceCheck, CocoPanopticCheck
from seg.datasets.checks.fault import DatasetCheck, Fault, FaultKind
from seg.datasets.checks.loading_check import LoadingCheck
from seg.datasets.checks.opening import (
    CHECKS,
    SPLITS,
    all_faults,
    dataset_settings,
    open_check,
    same_files,
)
from seg.datasets.checks.walk import walk

__all__ = [
    'CHECKS',
    'SPLITS',
    'CocoInstanceCheck',
    'CocoPanopticCheck',
    'DatasetCheck',
    'Fault',
    'FaultKind',
    'LoadingCheck',
    'all_faults',
    'dataset_settings',
    'open_check',
    'same_files',
    'walk',
]
