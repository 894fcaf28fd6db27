"""Tables, pictures and the page of one or several runs."""

from ._figure import draw as draw, figure as figure
from ._files import load as load, save as save
from ._page import page as page
from ._table import Table as Table, table as table

__all__ = ["Table", "draw", "figure", "load", "page", "save", "table"]
