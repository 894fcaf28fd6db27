"""Checks of what each kind of member must satisfy; run them on your own.

They are what `check_estimator` is to scikit-learn.
"""

from .attacks import check_attack as check_attack
from .codecs import check_codec as check_codec, check_compressor as check_compressor
from .methods import check_method as check_method
from .rules import check_rule as check_rule
from .splits import check_partition as check_partition
from .tasks import check_task as check_task
from .topologies import check_topology as check_topology

__all__ = [
    "check_attack",
    "check_codec",
    "check_compressor",
    "check_method",
    "check_partition",
    "check_rule",
    "check_task",
    "check_topology",
]
