"""The index of a data root: one row for each image file, as Parquet; what is new or changed is read."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from genimage_core.data.ahead import MapAhead, processes
from genimage_core.data.file_facts import read_batch
from genimage_core.data.index_manifest import (
    IndexedPlace,
    Manifest,
    claim,
    indexed,
    left_out,
    read_manifest,
    sweep,
    write_manifest,
)
from genimage_core.data.index_parts import SCHEMA, Known, PartWriter, load_known, read_part, to_table
from genimage_core.data.layout import CLASS_FOLDERS, Layout, Place, list_images

CHUNK = 5_000  # files in a part: what a kill costs is the part that was being filled
_BATCH = 32  # files that a process reads before it answers
_LISTED = 1_000  # paths looked up in the known ones at a time

Report = Callable[[int, int | None], None]


def build_index(layout: Layout, target: Path, *, workers: int, report: Report, chunk: int = CHUNK) -> None:
    """Make the index of a data root, or bring it up to date.

    Only files that are new, or whose size or time of change differ, are read; those that the system refused
    are tried again; those that vanished are forgotten. If nothing changed, nothing is written. After a kill,
    at any time, a second call goes on from the parts that were finished. Readers see the last whole index.
    Generators that the layout leaves out keep their rows as long as their folders exist; they are not listed.

    Args:
        layout: What to index.
        target: Folder of the index; a second process that wants it waits for the first.
        workers: Processes that read images; 0 reads them in this one.
        report: Called with the number of files settled and of all.
        chunk: Files in a part.

    Raises:
        ValueError: If `target` is something else, or the index of another data root or format; if a file
            name is not Unicode.
        RuntimeError: If a worker process dies.
    """
    with _one_at_a_time(target):
        root = str(layout.root.resolve())
        old = claim(target, root, layout.kind)
        step = _counter(report, _count(layout))
        with processes(workers) as map_ahead:
            places = [_update(place, layout, target, chunk, map_ahead, step) for place in layout.places]
        new = Manifest(root, layout.kind, (*places, *left_out(old, layout, places)))
        if new != old:
            write_manifest(target, new)
        sweep(target, new)


def read_index(
    target: Path, columns: Sequence[str] | None = None, generators: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the rows of an index, place by place, sorted by path.

    Args:
        target: Folder of the index.
        columns: Those wanted, in this order; all if None.
        generators: Those wanted; all if None.

    Returns:
        `imagenet_class`, `quality` (Int16), `width`, `height` (Int32), `label` (int8), `bytes`, `mtime_ns`
        (int64), the others strings.

    Raises:
        ValueError: If there is no index, it was never finished or is damaged, or a name is unknown.
    """
    columns = list(SCHEMA.names if columns is None else columns)
    _require("column", columns, SCHEMA.names)
    tables = [_read_place(target, place, columns) for place in _places(target, generators)]
    return _to_pandas(pa.concat_tables([SCHEMA.empty_table().select(columns), *tables]))


def scan_index(
    target: Path, columns: Sequence[str], generators: Sequence[str] | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the rows of an index part by part, for what must not hold millions of them in memory at once.

    Otherwise like `read_index`; the order within a generator, split and label is that of the parts.
    """
    for place in _places(target, generators):
        for part in place.parts:
            yield _to_pandas(_read_place(target, replace(place, parts=(part,)), columns))


def read_compact(
    target: Path, columns: Sequence[str], generators: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the rows of an index in a tenth of the memory, for millions of them.

    Like `read_index`, but words that repeat are categories and `content` is a hash of 8 bytes (uint64).
    """
    tables = [
        _compact(_read_place(target, replace(place, parts=(part,)), columns))
        for place in _places(target, generators)
        for part in place.parts
    ]
    joined = pa.concat_tables([_compact(SCHEMA.empty_table().select(list(columns))), *tables])
    return _to_pandas(joined.unify_dictionaries())


def _compact(table: pa.Table) -> pa.Table:
    for position, name in enumerate(table.column_names):
        if name == "content":
            hashed = pa.array(pd.util.hash_array(table[name].to_numpy(), categorize=False), pa.uint64())
            table = table.set_column(position, name, hashed)
        elif name != "path" and pa.types.is_string(table.schema.field(position).type):
            table = table.set_column(position, name, table[name].dictionary_encode())
    return table


def _places(target: Path, generators: Sequence[str] | None) -> list[IndexedPlace]:
    places = read_manifest(target).places
    if places is None:
        raise ValueError(f"the index {target} was never finished; run `genimage data index ROOT` again")
    _require("generator", generators or (), sorted({place.generator for place in places}))
    return [place for place in places if generators is None or place.generator in generators]


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    nullable = {pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


@contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{target}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logging.getLogger(__name__).warning("another process writes the index %s; waiting for it", target)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _count(layout: Layout) -> int:
    """Count the files, and refuse what no table can hold before any image is read.

    The patterns of a mapping may give one file two labels or splits; folders cannot.
    """
    count, first = 0, dict[tuple[str, int], Place]()
    for place in layout.places:
        for path in list_images(place, layout):
            count += 1
            if layout.kind == "mapping":
                other = first.setdefault((place.generator, hash(path)), place)
                if other is not place:
                    both = " and ".join(f"{p.split} {CLASS_FOLDERS[p.label]}" for p in (other, place))
                    raise ValueError(
                        f"{path} counts as {both} of {place.generator}; narrow the patterns of the mapping"
                    )
            try:
                str(path).encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"the file name {str(path)!r} is not Unicode; rename the file") from error
    return count


def _counter(report: Report, total: int) -> Callable[[int], None]:
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        report(done, total)

    step(0)
    return step


def _update(
    place: Place,
    layout: Layout,
    target: Path,
    chunk: int,
    map_ahead: MapAhead,
    step: Callable[[int], None],
) -> IndexedPlace:
    """Read what is new in a place; its parts."""
    entry = indexed(place, layout.root, ())
    folder = target / entry.name
    known, writer = load_known(folder), PartWriter(folder, chunk)
    valid = np.zeros(known.ends[-1], dtype=bool)  # rows that still hold
    calls = _unread(place, layout, known, valid, step)
    for names, facts in map_ahead(read_batch, calls):
        writer.add(to_table(place, names, facts))
        step(len(names))
    kept = _carry_over(folder, known, valid, writer, chunk)
    writer.finish()
    return indexed(place, layout.root, (*kept, *writer.names))


def _unread(
    place: Place, layout: Layout, known: Known, valid: NDArray[np.bool_], step: Callable[[int], None]
) -> Iterator[tuple[Path, list[str]]]:
    """Yield the root and batches of files to read; mark the rows of the others as valid."""
    waiting: list[str] = []
    for paths in _batched(list_images(place, layout), _LISTED):
        names = [path.relative_to(layout.root).as_posix() for path in paths]
        positions = known.find(names)
        same = [_is_same(path, known, at) for path, at in zip(paths, positions, strict=True)]
        valid[known.rows[positions[same]]] = True
        step(sum(same))
        waiting += [name for name, settled in zip(names, same, strict=True) if not settled]
        while len(waiting) >= _BATCH:
            yield layout.root, waiting[:_BATCH]
            del waiting[:_BATCH]
    if waiting:
        yield layout.root, waiting


def _batched(paths: Iterable[Path], size: int) -> Iterator[list[Path]]:
    iterator = iter(paths)
    while batch := list(islice(iterator, size)):
        yield batch


def _is_same(path: Path, known: Known, position: int) -> bool:
    if position < 0:
        return False
    try:
        status = path.stat()
    except OSError:
        return False
    found = (status.st_size, status.st_mtime_ns)
    return found == (known.sizes[position], known.times[position])


def _carry_over(
    folder: Path, known: Known, valid: NDArray[np.bool_], writer: PartWriter, chunk: int
) -> list[str]:
    """Name the parts that stay as they are, and rewrite what still holds of the others.

    Where something changed, small parts are rewritten too, so that many small changes leave no crumbs.
    """
    changed = bool(writer.names) or writer.waiting > 0 or not valid.all()
    kept = []
    for name, start, end in zip(known.parts, known.ends[:-1], known.ends[1:], strict=True):
        rows = valid[start:end]
        if rows.all() and (not changed or end - start >= chunk // 2):
            kept.append(name)
        elif rows.any():
            writer.add(read_part(folder / name).filter(rows))
    return kept


def _read_place(target: Path, place: IndexedPlace, columns: Sequence[str]) -> pa.Table:
    try:
        read = list(dict.fromkeys([*columns, "path"]))
        tables = [read_part(target / place.name / part, read) for part in place.parts]
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"the index {target} is damaged ({error}); run `genimage data index ROOT` again"
        ) from error
    if not tables:
        return SCHEMA.empty_table().select(columns)
    return pa.concat_tables(tables).sort_by("path").select(columns)


def _require(what: str, names: Iterable[str], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"the index has no {what} {', '.join(unknown)}; it has {', '.join(known)}")
