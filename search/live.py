"""What goes along with trials while they run: the display, TensorBoard and the time that they take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from search.board import Board
from search.display import Display
from search.job import Job
from search.records import Records
from search.resume import write_json
from search.scheduler import Deadline


@contextmanager
def live(
    job: Job, records: Records, trials: int, deadline: Deadline, console: Console, noun: str = "trial"
) -> Iterator[tuple[Board, Display]]:
    """Show what happens, and write down at the end where the time went; a second Ctrl-C ends it at once."""
    board, display = Board(job.board), Display(records, trials, deadline.at, console, noun)
    display.start()
    try:
        yield board, display
    except KeyboardInterrupt:
        display.note("ended at once; once more ends without a report")
    finally:
        display.stop()
        board.close()
        write_json(job.run_dir / "timing.json", records.timing())


def note_room(records: Records, display: Display) -> Callable[[int, int], None]:
    """Return what is to be told when nodes have joined or left."""

    def tell(nodes: int, trials: int) -> None:
        records.note_room(trials)
        display.note(f"nodes have joined or left, there are {nodes} now: room for {trials} trials at a time")

    return tell
