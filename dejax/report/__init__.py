"""Tables, pictures and the page of one or several runs."""

from ._figure import draw as draw
from ._figure import figure as figure
from ._files import load as load
from ._files import save as save
from ._page import page as page
from ._table import Table as Table
from ._table import table as table

__all__ = ["Table", "draw", "figure", "load", "page", "save", "table"]
