"""From a table's feed into DuckDB: stage what comes, merge each partition once it is complete."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import duckdb
import orjson

from stripe_dataflow.errors import WarehouseError
from stripe_dataflow.stripe_api import Traffic, Window, union
from stripe_dataflow.sync.cursor import Cursor
from stripe_dataflow.sync.feed import Batch
from stripe_dataflow.sync.loaded import Loaded, Loading, RunOfLoad
from stripe_dataflow.sync.plan import TablePlan
from stripe_dataflow.sync.track import Track
from stripe_dataflow.warehouse import (
    Counts,
    LoadStats,
    Scope,
    Warehouse,
    changed_ids,
    get_cursor,
    ids_created,
    profile,
    record_load,
    record_partition,
    set_cursor,
    take_back,
    window_rows,
)  # fmt: skip

_MANY_ROWS = 100_000
_MERGE_EVERY_S = 5.0  # while a table is still read; each merge is a transaction of its own


class Merger:
    """Moves rows from feeds into the warehouse; used by one thread."""

    def __init__(self, warehouse: Warehouse, run: RunOfLoad) -> None:
        self._warehouse = warehouse
        self._run = run

    def begin(self, track: Track) -> Loading:
        """Return the state of a table about to be loaded; what only other tables tell of it is staged."""
        target = track.plan.target
        if target.seen_in and not track.plan.metadata_only:
            plan = track.plan
            # Where rows are outdated, those that are known too: no list brings them again.
            seen = self._warehouse.seen_elsewhere(target, created_gte=plan.start, known=plan.outdated)
            # Older than whatever the list says: an object as another one shows it may lag behind.
            lines = [
                track.writer.line(orjson.loads(text), asked_at_us=min(loaded, track.started_us - 1))
                for text, loaded in seen
            ]
            path = track.feed.folder / f"{track.feed.name}.seen.ndjson"
            path.write_bytes(b"".join(lines))
            self._warehouse.stage(target, [path])
            path.unlink()
        return Loading(track.plan)

    def stage(self, track: Track) -> Batch:
        """Take a table's rows out of its feed, to be merged when its turn comes; return what the feed held.

        Raises:
            WarehouseError: Not every line became a row; a row that is missing would be taken for deleted.
        """
        batch, target = track.feed.take(), track.plan.target
        staged = self._warehouse.stage(target, batch.paths)
        if staged != batch.rows:
            raise WarehouseError(
                f"Staging {target.schema}.{target.name} took {staged} of {batch.rows} rows. Run again; if it persists, "
                "report it."
            )
        track.feed.release(batch)
        return batch

    def take(self, loading: Loading, track: Track) -> None:
        """Stage what the feed holds; merge the partitions that are complete.

        Raises:
            DataflowError: Reading failed; what was complete is merged all the same.
        """
        batch = self.stage(track)
        if loading.plan.metadata_only:
            self._describe(loading, track, batch)
            return
        if loading.plan.changes_only:
            self._take_changes(loading, track, batch)
            return
        complete = self._complete(loading, batch.remaining)
        due = batch.done or time.monotonic() - loading.merged_at > _MERGE_EVERY_S
        if batch.done and not batch.error and not loading.plan.table.created_filter:
            self._merge(loading, track, [Scope.whole(started=track.started_us)])
        elif complete and due:
            for group in self._groups(loading, track, complete):
                scopes = [Scope.window(w.gte, w.lt, started=track.started_us) for w in union(group)]
                self._merge(loading, track, scopes, complete=group)
        if batch.error:
            raise batch.error
        loading.done = batch.done

    def settle(self, tracks: Sequence[Track]) -> list[Loading]:
        """Return the finished loads of tables in which nothing changed, recorded in one transaction.

        To open the file for each of them would cost an hourly run more than all its reading.
        """
        settled = [Loading(track.plan) for track in tracks]
        with self._warehouse.transaction() as connection:
            for loading, track in zip(settled, tracks, strict=True):
                self._record(connection, loading, track, counts=Counts())
        for loading in settled:
            loading.done = True
        return settled

    def _groups(self, loading: Loading, track: Track, complete: list[Window]) -> list[list[Window]]:
        """Return partitions in groups that are merged together: few transactions, none of them large."""
        if track.feed.rows < _MANY_ROWS:
            return [complete]
        rows = self._warehouse.staged_rows(loading.plan.target, [(w.gte, w.lt) for w in complete])
        groups, held = [[]], 0
        for window, count in zip(complete, rows, strict=True):
            if groups[-1] and held + count > _MANY_ROWS:
                groups.append([])
                held = 0
            groups[-1].append(window)
            held += count
        return groups

    def _take_changes(self, loading: Loading, track: Track, batch: Batch) -> None:
        """Once all is read, merge the changes of the run whole."""
        if batch.error:
            raise batch.error
        if batch.done:
            started = track.started_us
            scopes = [Scope.window(w.gte, w.lt, started=started) for w in track.windows]
            if track.plan.table.parents:
                rest = Scope.parents(track.parents | self._parents_listed(track), started=started)
            else:
                rest = Scope.changes(outside=[(w.gte, w.lt) for w in track.windows])
            complete = [w for w in track.plan.windows if track.plan.recheck and _covered(w, track.windows)]
            self._merge(loading, track, [*scopes, rest], complete=complete)
        loading.done = batch.done

    def _parents_listed(self, track: Track) -> set[str]:
        """Return the parents that were listed, or are gone from a list: these have no children any more."""
        if not track.listed or not track.plan.parent:
            return set()
        with self._warehouse.reading() as connection:
            return ids_created(connection, track.plan.parent, [(w.gte, w.lt) for w in track.listed])

    def _describe(self, loading: Loading, track: Track, batch: Batch) -> None:
        """Once all is read, keep what can be said of the columns, and drop the rows."""
        if batch.error:
            raise batch.error
        if batch.done:
            target, run = loading.plan.target, self._run
            with self._warehouse.transaction() as connection:
                loading.counts = profile(connection, target, load_id=run.load_id)
                stats = self._stats(loading, track, counts=loading.counts, windows=(), cursor_before=None)
                record_load(connection, target, run.load_id, stats=stats)
            self._warehouse.discard(target)
        loading.done = batch.done

    def abandon(self, loading: Loading) -> None:
        """Forget what was staged and not merged."""
        self._warehouse.discard(loading.plan.target)

    def finish(self, loading: Loading, track: Track, *, seconds: float) -> Loaded:
        """Return what the load came to."""
        facts = loading.facts
        if facts is None:  # nothing was left to merge
            with self._warehouse.reading() as connection:
                facts = self._run.look(connection, loading.plan.target)
        traffic, unknown = track.traffic, sorted(track.writer.unknown_fields)
        return Loaded(
            loading.plan,
            self._run.load_id,
            loading.counts,
            traffic.requests,
            traffic.retries,
            traffic.bytes,
            seconds,
            unknown,
            track.how,
            facts,
            loading.missed,
        )

    @staticmethod
    def _complete(loading: Loading, remaining: Sequence[Window]) -> list[Window]:
        """Return the partitions of which nothing is left to read, and that are not merged yet."""
        return [
            window
            for window in loading.plan.windows
            if window not in loading.merged
            and not any(rest.gte < window.lt and window.gte < rest.lt for rest in remaining)
        ]

    def _merge(
        self, loading: Loading, track: Track, scopes: Sequence[Scope], *, complete: Sequence[Window] = ()
    ) -> None:
        """Move rows, history, cursor and load record in one transaction."""
        run, target = self._run, loading.plan.target
        with self._warehouse.transaction() as connection:
            merged = [self._warehouse.merge(connection, target, load_id=run.load_id, scope=scope) for scope in scopes]
            counts = sum(merged, start=Counts())
            if loading.plan.outdated and self._is_last(loading, complete):
                hashed, key = loading.plan.hashed, loading.plan.hash_key
                counts += Counts(updated=take_back(connection, target, hashed=hashed, key=key, load_id=run.load_id))
            self._record(connection, loading, track, counts=counts, complete=complete)
            if loading.plan.recheck:
                usual = [(w.gte, w.lt) for w in track.usual]
                loading.missed = changed_ids(connection, target, run.load_id, known=track.told, outside=usual)
        loading.counts += counts
        loading.merged_at = time.monotonic()
        loading.merged += complete

    @staticmethod
    def _is_last(loading: Loading, complete: Sequence[Window]) -> bool:
        """Tell whether nothing is left to merge of a plan once these partitions are."""
        return loading.plan.changes_only or len(loading.merged) + len(complete) == len(loading.plan.windows)

    def _record(
        self,
        connection: duckdb.DuckDBPyConnection,
        loading: Loading,
        track: Track,
        *,
        counts: Counts,
        complete: Sequence[Window] = (),
    ) -> None:
        """Write the load's record and partitions; with the last of them also the cursor."""
        plan, run, target = loading.plan, self._run, loading.plan.target
        whole = self._is_last(loading, complete)
        before = get_cursor(connection, run.dataflow, plan.table.name)
        after = plan.cursor if plan.cursor and whole else _mixed(before, plan)
        if after != before:
            set_cursor(connection, run.dataflow, plan.table.name, cursor=after)
        stats = self._stats(loading, track, counts=counts, windows=complete, cursor_before=before)
        record_load(connection, target, run.load_id, stats=stats)
        rows = window_rows(connection, target, [(w.gte, w.lt) for w in complete])
        for span, count in rows.items():
            record_partition(
                connection, target, run.load_id, window=span, rows=count, root_run_id=run.root_run_id,
                cursor=plan.cursor,
            )  # fmt: skip
        loading.facts = run.look(connection, target) if whole else None

    def _stats(
        self,
        loading: Loading,
        track: Track,
        *,
        counts: Counts,
        windows: Sequence[Window],
        cursor_before: str | None,
    ) -> LoadStats:
        """Return what this merge adds to the load's record: traffic and time since the last one."""
        traffic, now = track.traffic, time.monotonic()
        total = Traffic(traffic.requests, traffic.retries, traffic.bytes)
        before, loading.recorded = loading.recorded, total
        seconds, loading.recorded_at = now - loading.recorded_at, now
        return LoadStats(
            mode="changes" if loading.plan.changes_only else "list",
            counts=counts,
            window=(windows[0].gte, windows[-1].lt) if windows else None,
            requests=total.requests - before.requests,
            retries=total.retries - before.retries,
            bytes=total.bytes - before.bytes,
            seconds=seconds,
            cursor_before=cursor_before,
        )


def _mixed(before: str | None, plan: TablePlan) -> str | None:
    """Return the cursor of a table into which some rows went that may have landed in another way than the others."""
    cursor = Cursor.parse(before)
    return before if cursor is None or cursor.landing == plan.landing else str(replace(cursor, landing=""))


def _covered(window: Window, spans: Sequence[Window]) -> bool:
    return any(span.gte <= window.gte and window.lt <= span.lt for span in spans)
