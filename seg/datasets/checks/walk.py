"""Walking through data sets in parallel."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence

from seg.datasets.checks.fault import DatasetCheck, Fault

_CHUNK = 16
_checks: Sequence[DatasetCheck] = ()


def _take_over(checks: Sequence[DatasetCheck]) -> None:
    """Keep the checks of a worker, so that they are not sent with every part."""
    global _checks  # noqa: PLW0603  (a worker process serves one walk)
    _checks = checks


def _part_faults(place: tuple[int, int]) -> tuple[int, Sequence[Fault]]:
    number, part = place
    return number, _checks[number].part_faults(part)


def walk(
    checks: Mapping[str, DatasetCheck], num_workers: int, max_parts: int | None = None
) -> Iterator[tuple[str, Sequence[Fault]]]:
    """Look at all parts of some data sets, in order.

    Args:
        checks: The data sets by name.
        num_workers: Processes that share the work; 0 for none but this one.
        max_parts: At most so many parts of each data set; all by default.

    Yields:
        Name of the data set and faults, part by part.
    """
    names = list(checks)
    places = (
        (number, part)
        for number, name in enumerate(names)
        for part in range(min(len(checks[name]), max_parts or len(checks[name])))
    )
    everything = tuple(checks.values())
    if not num_workers:
        for number, part in places:
            yield names[number], everything[number].part_faults(part)
        return
    # Forked workers share the memory of the annotations.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('fork' if 'fork' in methods else None)
    with context.Pool(num_workers, _take_over, (everything,)) as pool:
        for number, faults in pool.imap(_part_faults, places, _CHUNK):
            yield names[number], faults
