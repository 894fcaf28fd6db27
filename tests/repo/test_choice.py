"""The picture of how to choose names methods that there are."""

import re
import sys

import repository

import dejax as dj

sys.path.insert(0, str(repository.ROOT / "scripts"))

import draw_choice


def test_its_names_are_members_and_it_stands_in_the_page():
    boxes = [answer for _, *answers in draw_choice.STEPS for answer in answers if answer is not None]
    named = [name for names, more in boxes for name in (*names, *re.findall(r": ([a-z_]+)", more))]
    assert len(named) > len(boxes) and set(named) <= set(dj.methods.__all__)
    options = {name for _, more in boxes for name in re.findall(r"([a-z_]+)\(", more)}
    rooms = (dj.aggregation, dj.compression, dj.events, dj.topology)
    assert options and options <= set().union(*(room.__all__ for room in rooms))
    page = (repository.ROOT / "docs/methods.md").read_text(encoding="utf-8")
    assert "(images/choice.svg)" in page and (repository.ROOT / "docs/images/choice.svg").is_file()
