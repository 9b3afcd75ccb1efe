"""The server of the annotation page."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from seg.apis.annotation import AnnotatedItem
from seg.apis.annotation.formats import find_format
from seg.utils.checks import UserError
from seg.webui.access import MONTH, Access, TokenGuard, cookie_of
from seg.webui.edits import Asked, apply_edit
from seg.webui.jobs import Job
from seg.webui.pages import page_routes
from seg.webui.replies import RefusalError, error_reply, guarded, read_limited, read_object
from seg.webui.settings import Settings
from seg.webui.store import Held, SessionStore
from seg.webui.uploads import NUM_SIGNATURE_BYTES, measure, suffix_of, unpack
from seg.webui.views import (
    describe_frame,
    describe_item,
    describe_server,
    describe_session,
    list_folder,
)

SESSION_COOKIE = 'rapsam_session'
_IMPORT_NAMES = {
    'coco': 'instances.json',
    'coco_panoptic': 'panoptic.json',
    'youtube_vis': 'train.json',
    'label_studio': 'label_studio.json',
    'cvat_images': 'annotations.xml',
    'cvat_video': 'annotations.xml',
    'davis': 'archive.zip',
}
_logger = logging.getLogger(__name__)
T = TypeVar('T')


def make_app(settings: Settings) -> Starlette:
    """The application, for an ASGI server.

    Args:
        settings: How the server was started.
    """
    server, guard = _Server(settings), TokenGuard(settings.token)
    routes = [
        *page_routes(settings, guard),
        Route('/api/state', guarded(server.state)),
        Route('/api/session', guarded(server.delete), methods=['DELETE']),
        Route('/api/model', guarded(server.choose_model), methods=['POST']),
        Route('/api/upload', guarded(server.upload), methods=['POST']),
        Route('/api/open', guarded(server.open_file), methods=['POST']),
        Route('/api/items/{item}', guarded(server.item)),
        Route('/api/items/{item}', guarded(server.remove), methods=['DELETE']),
        Route('/api/items/{item}/image/{frame:int}', guarded(server.image)),
        Route('/api/items/{item}/frame/{frame:int}', guarded(server.frame)),
        Route('/api/items/{item}/edit', guarded(server.edit), methods=['POST']),
        Route('/api/items/{item}/follow', guarded(server.follow), methods=['POST']),
        Route('/api/job', guarded(server.job)),
        Route('/api/job/stop', guarded(server.stop), methods=['POST']),
        Route('/api/export', guarded(server.export)),
        Route('/api/import', guarded(server.import_files), methods=['POST']),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Access, settings=settings, guard=guard)],
        exception_handlers={404: _nothing_there, 405: _nothing_there},
        lifespan=server.lifespan,
    )


async def _nothing_there(request: Request, error: Exception) -> Response:
    return error_reply(404, 'expected an address of this page, got another')


class _Server:
    """Answers requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = SessionStore(settings)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Drop idle sessions from time to time."""
        sweeping = asyncio.create_task(self._sweep())
        yield
        sweeping.cancel()
        await run_in_threadpool(self.store.save_all)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(30.0, self.settings.limits.idle_seconds))
            await run_in_threadpool(self.store.drop_idle)
            await run_in_threadpool(self.store.save_all)

    # The session.

    async def state(self, request: Request) -> Response:
        """The server, and the session if there is one."""
        content = await run_in_threadpool(describe_server, self.settings)
        session_id = cookie_of(request.headers, SESSION_COOKIE)
        if self.store.exists(session_id):
            content['session'] = await self._in_session(request, describe_session)
        return JSONResponse(content)

    async def delete(self, request: Request) -> Response:
        """Delete the session with all its files."""
        session_id = self._session_id(request)
        await run_in_threadpool(self.store.delete, session_id)
        reply = JSONResponse({'ok': True})
        reply.delete_cookie(SESSION_COOKIE)
        return reply

    async def choose_model(self, request: Request) -> Response:
        """Go on with another model."""
        content = await self._json(request)
        model = await run_in_threadpool(self.store.model, Asked(content).text('name'))

        def choose(held: Held) -> dict[str, Any]:
            if held.job is not None and held.job.is_running:
                raise RefusalError(409, 'expected nothing being followed; stop that first')
            held.session.set_model(model)
            return describe_session(held)

        return await self._reply_with_session(request, choose)

    async def upload(self, request: Request) -> Response:
        """Take an image or a video into the session."""
        given = request.query_params.get('name', '').replace('\\', '/')
        name = Path(given).stem or 'upload'
        limits = self.settings.limits
        with tempfile.TemporaryDirectory(dir=self._scratch()) as scratch:
            path = await self._receive(request, Path(scratch))
            await run_in_threadpool(measure, path, limits)

            def take(held: Held) -> dict[str, Any]:
                folder = held.session.folder
                assert folder is not None, 'sessions of the server have folders'
                kept = folder / 'media'
                kept.mkdir(exist_ok=True)
                used = sum(file.stat().st_size for file in kept.rglob('*') if file.is_file())
                if used + path.stat().st_size > limits.session_bytes:
                    raise RefusalError(
                        413, f'expected at most {limits.session_bytes} bytes in a session'
                    )
                target = kept / f'{secrets.token_hex(6)}{path.suffix}'
                shutil.move(path, target)
                try:
                    item = held.session.open(target, name)
                except UserError as error:
                    target.unlink()
                    raise UserError(str(error).replace(target.name, name)) from None
                return describe_item(held.session, item)

            return await self._reply_with_session(request, take)

    async def open_file(self, request: Request) -> Response:
        """Open a file of a named folder; names are looked up in its list, never joined to paths."""
        asked = Asked(await self._json(request))
        folder, name = asked.text('folder'), asked.text('name')
        as_video = asked.flag('as_video', False)

        def take(held: Held) -> dict[str, Any]:
            root = self.settings.roots.get(folder)
            if root is None:
                raise UserError('folder: expected one of those the server was started with')
            kinds = {entry['name']: entry['kind'] for entry in list_folder(root)}
            if name not in kinds:
                raise UserError('name: expected a file of the folder, got another')
            if kinds[name] != 'folder':
                return describe_item(held.session, held.session.open(root / name))
            if as_video:
                return describe_item(held.session, held.session.open_video(root / name))
            ids = held.session.open_folder(root / name)
            return describe_item(held.session, held.session.item(ids[0]))

        return await self._reply_with_session(request, take)

    # Items.

    async def item(self, request: Request) -> Response:
        """An item without its masks."""
        return JSONResponse(
            await self._with_item(request, lambda held, item: describe_item(held.session, item))
        )

    async def remove(self, request: Request) -> Response:
        """Take an item out of the session."""

        def remove(held: Held) -> dict[str, Any]:
            held.session.remove_item(request.path_params['item'])
            return describe_session(held)

        return JSONResponse(await self._in_session(request, remove))

    async def image(self, request: Request) -> Response:
        """A frame as JPEG."""
        frame = request.path_params['frame']

        def draw(held: Held, item: AnnotatedItem) -> bytes:
            import cv2

            item.check_frame(frame)
            image = item.media.read(frame)
            _, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            return data.tobytes()

        content = await self._with_item(request, draw)
        headers = {'cache-control': 'private, max-age=3600'}
        return Response(content, media_type='image/jpeg', headers=headers)

    async def frame(self, request: Request) -> Response:
        """Masks and prompts on a frame."""
        frame = request.path_params['frame']
        return JSONResponse(
            await self._with_item(request, lambda held, item: describe_frame(item, frame))
        )

    async def edit(self, request: Request) -> Response:
        """Change an item; tells the item and the frame at hand as they are then."""
        content = await self._json(request)
        frame = Asked(content).whole('frame', 0)

        def change(held: Held, item: AnnotatedItem) -> dict[str, Any]:
            apply_edit(item, content)
            return {
                'item': describe_item(held.session, item),
                'frame': describe_frame(item, frame),
            }

        answer = await self._with_item(request, change)
        return JSONResponse(answer, background=self._saving(request))

    # Following.

    async def follow(self, request: Request) -> Response:
        """Begin to follow objects."""
        asked = Asked(await self._json(request))
        task = asked.text('task', 'vos')
        session_id = self._session_id(request)
        changed = asked.flag('changed', False)

        def begin(held: Held, item: AnnotatedItem) -> dict[str, Any]:
            if held.job is not None and held.job.is_running:
                raise RefusalError(409, 'expected nothing being followed; stop that first')
            if changed:
                propagation = held.session.propagate_changed(item.item_id, task)
            else:
                propagation = held.session.propagate(
                    item.item_id,
                    asked.whole('frame'),
                    backward=asked.flag('backward', False),
                    num_frames=asked.whole('num_frames', None),
                    object_ids=asked.wholes('objects'),
                    task=task,
                )
            held.job = Job(item.item_id, propagation, lambda: self.store.save(session_id))
            held.job.start()
            return held.job.report()

        return JSONResponse(await self._with_item(request, begin))

    async def job(self, request: Request) -> Response:
        """How far following is."""

        def report(held: Held) -> dict[str, Any] | None:
            return None if held.job is None else held.job.report()

        return JSONResponse(await self._in_session(request, report))

    async def stop(self, request: Request) -> Response:
        """Stop following; what was done stays."""
        job = await self._in_session(request, lambda held: held.job)
        if job is None:
            raise UserError('stop: expected something being followed, got nothing')
        job.stop()
        await run_in_threadpool(job.wait, 10)
        return JSONResponse(job.report())

    # Files of other tools.

    async def export(self, request: Request) -> Response:
        """Annotations with their pictures, as a ZIP archive."""
        name = request.query_params.get('format', '')
        find_format(name)
        accepted = request.query_params.get('accepted') == '1'
        scratch = Path(tempfile.mkdtemp(dir=self._scratch()))

        def write(held: Held) -> Path:
            held.session.export(name, scratch / name, accepted_only=accepted)
            archive = scratch / f'{name}.zip'
            with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as target:
                for path in sorted((scratch / name).rglob('*')):
                    target.write(path, path.relative_to(scratch))
            return archive

        try:
            archive = await self._in_session(request, write)
        except BaseException:
            shutil.rmtree(scratch)
            raise
        return FileResponse(
            archive,
            media_type='application/zip',
            filename=f'rapsam_{name}.zip',
            background=BackgroundTask(shutil.rmtree, scratch),
        )

    async def import_files(self, request: Request) -> Response:
        """Add the objects of uploaded annotations to items of the same names."""
        name = request.query_params.get('format', '')
        find_format(name)
        content = await read_limited(request, self.settings.limits.archive_bytes)

        def take(held: Held) -> dict[str, Any]:
            with tempfile.TemporaryDirectory(dir=self._scratch()) as scratch:
                folder = Path(scratch)
                unpack(content, folder, _IMPORT_NAMES[name], self.settings.limits)
                inner = folder / name  # exports of the page have one folder
                added = held.session.import_annotations(name, inner if inner.is_dir() else folder)
            return {'added': {key: len(ids) for key, ids in added.items()}}

        answer = await self._in_session(request, take)
        return JSONResponse(answer, background=self._saving(request))

    # Help.

    def _saving(self, request: Request) -> BackgroundTask:
        """Writes the session after the visitor has the answer."""
        return BackgroundTask(self.store.save, self._session_id(request))

    def _scratch(self) -> Path:
        folder = self.settings.work_dir / 'scratch'
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def _json(self, request: Request) -> dict[str, Any]:
        return await read_object(request, self.settings.limits.json_bytes)

    async def _receive(self, request: Request, folder: Path) -> Path:
        """Write an upload to a file whose suffix follows from its first bytes."""
        limit = self.settings.limits.upload_bytes
        declared = request.headers.get('content-length', '0')
        if not declared.isdigit() or int(declared) > limit:
            raise RefusalError(413, f'expected a file of at most {limit} bytes, got a larger one')
        path, total = folder / 'upload', 0
        with path.open('wb') as file:
            async for part in request.stream():
                total += len(part)
                if total > limit:
                    raise RefusalError(413, f'expected a file of at most {limit} bytes')
                file.write(part)
        with path.open('rb') as file:
            suffix = suffix_of(file.read(NUM_SIGNATURE_BYTES))
        return path.rename(path.with_suffix(suffix))

    def _session_id(self, request: Request) -> str:
        session_id = cookie_of(request.headers, SESSION_COOKIE)
        if session_id is None or not self.store.exists(session_id):
            raise RefusalError(404, 'expected a session, got none; open an image first')
        return session_id

    async def _in_session(self, request: Request, act: Callable[[Held], T]) -> T:
        """Act on the visitor's session."""
        session_id = self._session_id(request)

        def run() -> T:
            with self.store.use(session_id) as held:
                return act(held)

        return await run_in_threadpool(run)

    async def _with_item(self, request: Request, act: Callable[[Held, AnnotatedItem], T]) -> T:
        """Act on an item of the visitor's session."""
        item_id = request.path_params['item']
        return await self._in_session(request, lambda held: act(held, held.session.item(item_id)))

    async def _reply_with_session(self, request: Request, act: Callable[[Held], T]) -> Response:
        """Act on the visitor's session, begun if there is none yet."""
        session_id = cookie_of(request.headers, SESSION_COOKIE)
        known = session_id is not None and self.store.exists(session_id)
        used = session_id if known else await run_in_threadpool(self.store.create)
        assert used is not None, 'made when there was none'

        def run() -> T:
            with self.store.use(used) as held:
                return act(held)

        try:
            reply = JSONResponse(await run_in_threadpool(run))
        except BaseException:
            if not known:
                await run_in_threadpool(self.store.delete, used)
            raise
        if not known:
            reply.set_cookie(SESSION_COOKIE, used, httponly=True, samesite='strict', max_age=MONTH)
        return reply
