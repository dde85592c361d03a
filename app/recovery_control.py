"""Keeps the edits of the open models on disk while they are made, and offers what a crash has left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from graftwerk.backend.fault import Fault
from graftwerk.widgets.panels.readout import count_text

if TYPE_CHECKING:  # imported when it is started, after the first picture
    from graftwerk.app.recovery_dialog import RecoveryDialog
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.document import Document
    from graftwerk.backend.recovery import Leftovers, Saved, Session, Watch

#: How long an edit may wait until it is written, milliseconds.
PAUSE = 2000


class RecoveryControl(QObject):
    """Does nothing until `start`: only the program itself keeps edits, no script and no picture of it."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window
        self.dialog: RecoveryDialog | None = None
        self._session: Session | None = None
        self._leftovers: Leftovers | None = None
        self._watches: dict[Tab, tuple[int, Watch]] = {}
        self._numbers = 0
        self._stale: set[Tab] = set()
        self._writing = 0
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="recovery")  # one: what is written stays in order
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self.write)

    def start(self) -> None:
        """Begins to keep edits, and offers those of runs that did not end well."""
        from graftwerk.backend.recovery import Leftovers, Session

        try:
            self._leftovers = Leftovers()
            self._session = Session()
        except (Fault, OSError) as error:
            self.window.say(str(error), error=True)
            return
        for tab in self.window.tabs():
            self.watch(tab)
        if self._leftovers.entries:
            self._offer()

    @property
    def started(self) -> bool:
        return self._session is not None

    @property
    def settled(self) -> bool:
        """Whether all edits are written."""
        return not (self._stale or self._writing)

    # Keeping

    def watch(self, tab: Tab) -> None:
        """Keeps a document's edits from now on."""
        if self._session is None or tab in self._watches:
            return
        from graftwerk.backend.recovery import Watch

        watch = Watch(tab.document)
        self._numbers += 1
        self._watches[tab] = (self._numbers, watch)
        tab.document.listeners.append(partial(self._on_change, tab))
        if tab.document.path is None:
            self._stage(watch)
        if tab.document.dirty:
            self._on_change(tab)

    def _stage(self, watch: Watch) -> None:
        """A model that was made here lies in no file: its first revision is written to one."""
        from graftwerk.backend.recovery import Base

        graph, session = watch.document.revisions[0].graph, self._session
        assert session is not None

        def take(ready: Future[Path]) -> None:
            if self.window.attempt(ready.result):
                watch.bases += (Base.of(ready.result(), graph.revision),)

        self.window.jobs.compute(lambda: session.stage(graph), take)

    def _on_change(self, tab: Tab) -> None:
        self._watches[tab][1].note()
        self._stale.add(tab)
        if not self._timer.isActive():
            self._timer.start()

    def write(self) -> None:
        """Writes what has changed, on a thread."""
        for tab in self._stale & self._watches.keys():
            number, watch = self._watches[tab]
            document = tab.document
            model = str(document.path.resolve()) if document.path is not None else ""
            parts = (document.history, watch.bases, model, document.origin)
            self._submit(partial(self._session_write, number, parts if document.dirty else None))
        self._stale.clear()

    def _submit(self, work: Callable[[], None]) -> None:
        self._writing += 1

        def done(ready: Future[None]) -> None:
            self._writing -= 1
            error = ready.exception()
            if error is not None:  # a full disk, say: no reason to stop
                sys.stderr.write(f"graftwerk: edits can't be kept for the case of a crash: {error}\n")

        self._threads.submit(work).add_done_callback(done)

    def _session_write(self, number: int, parts: tuple[object, ...] | None) -> None:
        from graftwerk.backend.recovery import saved

        assert self._session is not None
        self._session.write(number, saved(*parts) if parts is not None else None)  # type: ignore[arg-type]

    def before_save(self, tab: Tab, path: Path) -> None:
        """To be called before a file is replaced that a document's edits start from."""
        if self._session is None or tab not in self._watches or not path.exists():
            return
        watch = self._watches[tab][1]
        for base in watch.bases:
            if base.path == str(path.resolve()) and base.state() == "same":
                place = self._session.hold(path.resolve(), tab.document.graph)
                if place is not None:
                    watch.moved(base, place)

    def forget(self, tab: Tab) -> None:
        """The document is closed, and what it held is saved or not wanted."""
        self._stale.discard(tab)
        if tab in self._watches:
            number, _ = self._watches.pop(tab)
            assert self._session is not None
            self._submit(partial(self._session.remove, number))

    def end(self, keep: bool) -> None:
        """The program ends: forgets everything, or keeps what is not saved for the next start."""
        if keep:
            self.write()
        self._timer.stop()
        self._threads.shutdown(wait=True)
        if self._session is not None:
            self._session.release() if keep else self._session.close()
            self._session = None
        if self._leftovers is not None:
            self._leftovers.release()

    # Bringing back

    def _offer(self) -> None:
        from graftwerk.app.recovery_dialog import RecoveryDialog

        assert self._leftovers is not None
        self.dialog = RecoveryDialog(self._leftovers.entries, self.window)
        self.dialog.restore.connect(self._restore)
        self.dialog.discard.connect(self._discard)
        self.dialog.show()

    def _discard(self, path: Path) -> None:
        assert self._leftovers is not None
        self._leftovers.remove(path)

    def _restore(self, path: Path) -> None:
        from graftwerk.backend.recovery import restore

        assert self._leftovers is not None
        assert self._session is not None
        entry = self._session.adopt(self._leftovers.entries[path])
        self.window.say(f"Restoring {entry.title} …")
        self.window.jobs.compute(partial(restore, entry), partial(self._show, path, entry))

    def _show(self, path: Path, entry: Saved, ready: Future[Document]) -> None:
        if not self.window.attempt(ready.result):
            return  # it stays for the next start
        document = ready.result()
        self._close_unedited(document)
        tab = self.window.add_tab(document)
        self._adopt_base(tab, entry)
        self.write()
        assert self._leftovers is not None
        self._submit(partial(self._leftovers.remove, path))  # once it is kept by this run
        stopped = document.history.stopped
        if stopped is not None:
            self.window.show_fault(stopped, f"{entry.title} could be restored only in part")
        else:
            self.window.say(f"Restored {entry.title}: {count_text(entry.at, 'step')}")

    def _adopt_base(self, tab: Tab, entry: Saved) -> None:
        """The document starts from the file that it was restored from, as it is now."""
        from graftwerk.backend.recovery import Base

        _, watch = self._watches[tab]
        watch.bases = (Base.of(Path(entry.base.path), tab.document.revisions[0].graph.revision),)
        self._on_change(tab)

    def _close_unedited(self, document: Document) -> None:
        """The same model may have been opened by the command line: what comes back takes its place."""
        for tab in self.window.tabs():
            same = tab.document.path is not None and tab.document.path == document.path
            if same and not tab.document.dirty and tab.document.at == 0:
                self.window.discard_tab(tab)

