"""A figure as a page shows it."""

from dataclasses import dataclass

from markupsafe import Markup

from reports.views import Table


@dataclass(frozen=True)
class Picture:
    """A figure with the words that stand in for it and the same numbers as a table."""

    title: str
    svg: Markup
    alt: str
    caption: str
    table: Table
