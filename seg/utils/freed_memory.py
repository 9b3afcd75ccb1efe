"""What becomes of main memory that a process has freed."""

from __future__ import annotations

import ctypes
import gc

# Of malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 1 << 30  # bytes
_MOST_ONCE = 1 << 25  # what older versions take for the second


def keep_freed_memory() -> bool:
    """Let this process keep what it frees for what it asks for next.

    By default the GNU C library hands large pieces back to the system, more or less of them
    depending on what was freed first. Every frame then gets its tensors as new pages, which the
    system has to clear. Meant for programs that segment frame after frame on a CPU.

    Returns:
        Whether the C library can be told so; others are left as they are.
    """
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None)
    if set_option is None:
        return False
    is_trimmed_late = set_option(_M_TRIM_THRESHOLD, _LARGE)
    is_kept = set_option(_M_MMAP_THRESHOLD, _LARGE) or set_option(_M_MMAP_THRESHOLD, _MOST_ONCE)
    return bool(is_trimmed_late and is_kept)


def release_memory() -> None:
    """Give back what the allocator of the process keeps of things that are gone.

    What is measured next would take it without being seen. Does nothing where the C library has
    no such function.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)
