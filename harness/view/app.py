"""Which path leads where?

    /                    the list: filtered, sorted, a page of it
    /part                the same without its frame, for the script that follows new runs
    /inside/PATH         the rows of what is in a study, for the same
    /version             a number that grows when something changes
    /at/PATH             a run or a study: what it is, its cells, its files
    /page/PATH           its own page (report.html, compare.html), in a sandbox
    /file/PATH           a file of it, as text or to be saved
    /compare?run=PATH    runs side by side, made in memory
    /static/NAME         our style and script

Everything is read, nothing written. What is no run or study, and what is not in the folder of one,
is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.kernel.errors import HarnessError
from harness.kernel.texts import shown
from harness.view import listing, pages, reports, summary
from harness.view.apart import apart
from harness.view.guard import THEIRS, Guard
from harness.view.index import Entry, Index
from harness.view.rooted import NotHere, opened, parts_of

Handler = Callable[[Request], Awaitable[Response]]
_CHUNK_BYTES = 1 << 16
_TEXTS = (".json", ".jsonl", ".log", ".txt", ".csv", ".md", ".toml", ".conf")
_SANDBOX = {"content-security-policy": THEIRS}


def application(index: Index) -> Guard:
    """Return the ASGI application that shows the folder of an index."""
    view = View(index)
    routes = {
        "/": view.whole,
        "/part": view.part,
        "/inside/{path:path}": view.inside,
        "/version": view.version,
        "/at/{path:path}": view.at,
        "/page/{path:path}": view.page,
        "/file/{path:path}": view.file,
        "/compare": view.compare,
        "/static/{name}": view.static,
    }
    made = [Route(path, handler, methods=["GET"]) for path, handler in routes.items()]
    handlers = {HTTPException: _refused, NotHere: _not_here, HarnessError: _told}
    return Guard(Starlette(routes=made, exception_handlers=handlers))  # type: ignore[arg-type]


class View:
    """The handlers. What reads files runs on a thread of the pool; pages that are made from raw
    files take long, and are made one at a time.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._slow = asyncio.Lock()

    async def whole(self, request: Request) -> Response:
        wanted = listing.asked(request.query_params)
        return HTMLResponse(await run_in_threadpool(self._listed, wanted, pages.list_page))

    async def part(self, request: Request) -> Response:
        wanted = listing.asked(request.query_params)
        return HTMLResponse(await run_in_threadpool(self._listed, wanted, pages.list_part))

    def _listed(self, wanted: listing.Asked, render: Callable[..., str]) -> str:
        self._index.asked()
        return render(self._index, listing.page(self._index.entries, self._index, wanted), wanted)

    async def version(self, request: Request) -> Response:
        self._index.asked()
        told = {"version": self._index.version, "read": self._index.read}
        return JSONResponse(told | {"found": len(self._index.entries)})

    async def inside(self, request: Request) -> Response:
        entry = self._entry(request)
        level = entry.path.count("/") + 1
        lines = await run_in_threadpool(self._inside, entry)
        return HTMLResponse(pages.rows_inside(lines, level))

    def _inside(self, entry: Entry) -> list[listing.Line]:
        rows = summary.rows_of(self._index.root / entry.path).values()
        cells = {f"{entry.path}/{row.run}": row.cell for row in rows if row.run}
        return listing.children(self._index.entries, self._index, entry.path, cells)

    async def at(self, request: Request) -> Response:
        entry = self._entry(request)

        def render() -> str:
            known = self._index.summary(entry)
            return pages.entry_page(self._index, entry, known, self._inside(entry))

        return HTMLResponse(await run_in_threadpool(render))

    async def page(self, request: Request) -> Response:
        entry = self._entry(request)
        root = self._index.root
        with suppress(NotHere):
            stored = await run_in_threadpool(reports.stored, root, entry.path)
            return HTMLResponse(stored, headers=_SANDBOX)
        async with self._slow:
            page = await apart(partial(reports.made, root, entry.path))
        return HTMLResponse(page, headers=_SANDBOX)

    async def compare(self, request: Request) -> Response:
        paths = list(dict.fromkeys(request.query_params.getlist("run")))
        if not 2 <= len(paths) <= listing.MOST_COMPARED:
            words = (
                f"Choose 2 to {listing.MOST_COMPARED} runs in the list; {len(paths)} were chosen."
            )
            return HTMLResponse(pages.problem_page("Nothing to compare", words), 400)
        folders = [self._index.root / self._run(path).path for path in paths]
        async with self._slow:
            made = await apart(partial(_compared, folders))
        data = reports.with_way_back(made.encode(errors="backslashreplace"))
        return HTMLResponse(data, headers=_SANDBOX)

    async def file(self, request: Request) -> Response:
        path = request.path_params["path"]
        if self._index.holder("/".join(parts_of(path)[:-1])) is None:
            raise NotHere(path)
        file = await run_in_threadpool(opened, self._index.root, path)
        name = path.rpartition("/")[2]
        is_text = Path(name).suffix in _TEXTS
        kind = "text/plain; charset=utf-8" if is_text else "application/octet-stream"
        headers = dict(_SANDBOX)
        if not is_text:
            headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
        return StreamingResponse(_chunks(file), media_type=kind, headers=headers)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in pages.STATIC:
            raise NotHere(name)
        return Response(pages.static(name), media_type=pages.STATIC[name])

    def _entry(self, request: Request) -> Entry:
        return self._known(request.path_params["path"])

    def _known(self, path: str) -> Entry:
        """Return the entry of a path. Raises NotHere: only what the index found is shown."""
        entry = self._index.entry("/".join(parts_of(path)))
        if entry is None:
            raise NotHere(path)
        return entry

    def _run(self, path: str) -> Entry:
        entry = self._known(path)
        if entry.kind != "run":
            raise NotHere(path)
        return entry


def _compared(folders: list[Path]) -> str:
    """Make the page that compares runs; what that needs is imported when it is needed first."""
    from harness.view.compared import page_of

    return page_of(folders)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while data := file.read(_CHUNK_BYTES):
            yield data


async def _refused(request: Request, error: HTTPException) -> Response:
    return HTMLResponse(pages.problem_page("Not here", str(error.detail)), error.status_code)


async def _not_here(request: Request, error: NotHere) -> Response:
    path = shown(request.url.path, 200)
    words = f"There is nothing to be shown at {path}. It may have been moved or deleted."
    return HTMLResponse(pages.problem_page("Not here", words), 404)


async def _told(request: Request, error: HarnessError) -> Response:
    return HTMLResponse(pages.problem_page("This cannot be shown", str(error)), 422)
