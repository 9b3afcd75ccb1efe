"""Prompts on a command line, where their order matters; light, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


class PromptFlag(argparse.Action):
    """Collects prompt flags as (name, value) in ``namespace.prompts``, in the order given.

    The parser needs ``set_defaults(prompts=[])``.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Append one flag."""
        namespace.prompts = [*namespace.prompts, (self.dest, values)]


def join_prompt_values(argv: Sequence[str]) -> list[str]:
    """Make ``--point -3,5`` one word; argparse would take the value for a flag.

    A word with two dashes stays one: the value before it was forgotten.
    """
    joined: list[str] = []
    for word in argv:
        forgotten = word.startswith('--')
        if joined and joined[-1] in ('--point', '--box', '--text') and not forgotten:
            joined[-1] = f'{joined[-1]}={word}'
        else:
            joined.append(word)
    return joined
