"""Training that is killed with SIGKILL, again and again, ends as one that never was."""

import io
import multiprocessing
import os
import random
import signal
import time

import pytest
import torch
from mmengine.hooks import Hook

from seg.engine.launch import build_runner
from seg.testing.tiny_training import NANO, tiny_training_cfg
from seg.utils.checkpoints import read_weights

MAX_ITERS = 11
CHOICE = random.SystemRandom()
needs_fork = pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')


class LossesHook(Hook):
    """Appends the loss of every iteration to a file, exactly."""

    def __init__(self, path):
        self.path = path

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(self.path, 'a', encoding='utf-8') as file:
            file.write(f'{runner.iter} {float(outputs["loss"]).hex()}\n')


def kill_me(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def half_a_file(content, file):
    """What is on the disk when the process dies in the middle of writing."""
    whole = io.BytesIO()
    torch.serialization.save(content, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    kill_me()


def move_all_but(name):
    """Stands for ``os.replace``; dies instead of moving some file into place."""

    def replace(source, target, _replace=os.replace):
        if name in str(target):
            kill_me()
        _replace(source, target)

    return replace


# Where a process dies on its own: the second checkpoint of a leg is never whole, or never in place.
DEATHS = {
    'half written': ('seg.utils.checkpoints.torch.save', lambda: half_a_file),
    'not in place': ('seg.utils.atomic_write.os.replace', lambda: move_all_but('iter_')),
    'no pointer': ('seg.utils.atomic_write.os.replace', lambda: move_all_but('last_checkpoint')),
}


def train(folder, num_workers, death=None):
    """Train in a process of its own; the first leg starts, the others resume."""
    torch.set_num_threads(1)
    if death is not None:
        place, make = DEATHS[death]
        pytest.MonkeyPatch().setattr(place, make())
    cfg = tiny_training_cfg(max_iters=MAX_ITERS, num_workers=num_workers)
    cfg['resume'] = True
    runner = build_runner(cfg, NANO, folder)
    runner.register_hook(LossesHook(folder / 'losses.txt'))
    runner.train()


def start(*args):
    process = multiprocessing.get_context('fork').Process(target=train, args=args)
    process.start()
    return process


def losses_in(folder):
    """All losses written so far, in order."""
    path = folder / 'losses.txt'
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(step), loss) for step, loss in map(str.split, lines)]


def is_done(folder):
    """Whether the last checkpoint is in place."""
    pointer = folder / 'last_checkpoint'
    return pointer.exists() and f'iter_{MAX_ITERS}.pth' in pointer.read_text()


def kill_after(process, folder, step):
    """Kill it some random moment after it finished a step."""
    deadline = time.monotonic() + 120
    while process.is_alive() and not any(done >= step for done, _ in losses_in(folder)):
        assert time.monotonic() < deadline, 'the training hangs'
        time.sleep(0.01)
    time.sleep(CHOICE.random() * 0.1)
    process.kill()
    process.join()


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Folder of a training that nobody killed, without workers."""
    folder = tmp_path_factory.mktemp('whole')
    build_runner(tiny_training_cfg(), NANO, folder / 'warm')  # imports, once for all processes
    process = start(folder, 0)
    process.join(240)
    assert process.exitcode == 0
    return folder


@needs_fork
@pytest.mark.parametrize('num_workers', [0, 2])
def test_killed_training_equals_the_uninterrupted_one(tmp_path, whole, num_workers):
    killed = tmp_path / 'killed'
    expected = dict(losses_in(whole))
    assert sorted(expected) == list(range(MAX_ITERS))

    deaths = CHOICE.sample(sorted(DEATHS), 2)
    story = [f'{num_workers} workers', *deaths]
    killed.mkdir()
    for death in deaths:
        step = CHOICE.randint(0, 4)
        story.append(f'killed after step {step}')
        kill_after(start(killed, num_workers), killed, step)
        done = is_done(killed)
        process = start(killed, num_workers, death)
        process.join(240)
        assert process.exitcode == (0 if done else -signal.SIGKILL), story
    process = start(killed, num_workers)
    process.join(240)
    assert process.exitcode == 0, story
    found = losses_in(killed)
    assert {step for step, _ in found} == set(expected), story
    assert [loss for _, loss in found] == [expected[step] for step, _ in found], story
    name = f'iter_{MAX_ITERS}.pth'
    left, right = (read_weights(folder / name) for folder in (whole, killed))
    assert all(torch.equal(value, right[key]) for key, value in left.items()), story
    assert not list(killed.glob('.*.tmp'))
