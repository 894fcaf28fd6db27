"""Tables, pictures and the page of one or several runs."""

from . import paper as paper, typeset as typeset
from .choose import choose as choose, only as only
from .figures import draw as draw, figure as figure
from .files import load as load, save as save
from .pages import page as page
from .tables import Table as Table, table as table

__all__ = ["Table", "choose", "draw", "figure", "load", "only", "page", "paper", "save", "table", "typeset"]
