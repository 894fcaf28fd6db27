"""What one refusal is, and the members that reasons name as the way out."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...errors import FieldError, RefusedError, Words
from ..case import Case

ADVICE = {  # the only place where reasons name members, as the way out
    "directed": "sgp",
    "column": "push_sum",
    "doubly": "metropolis",
    "answers": "fedmd or local_only",
    "comparable": "dsgd",
    "plain_attack": "sign_flip",
    "event_driven": "ad_psgd, dsgd('awc') or swift",
    "pair_events": "poisson",
    "own_events": "updates",
    "apart": "decoupled",
    "changing_graphs": "exact_diffusion, nids or extra",
    "compressed": "dsgd",
    "gradient_noise": "gaussian_gradient",
    "sample_attack": "label_flip",
    "entry_rule": "coordinate_median or trimmed_mean",
    "part_codec": "direct, error_feedback or copies",
    "server_rule": "coordinate_median or trimmed_mean",
    "one_model": "fedavg",
    "upload": "fedavg, fedprox, fedopt or fedadam",
    "late_copies": "direct or error_feedback",
    "two_way_loss": "link_loss",
    "lossless_graphs": "chain or binary_tree",
    "edges": "ring or chain",
    "trees": "chain, binary_tree or star",
    "pairs": "ring",
    "symmetric": "metropolis or max_degree",
    "no_negative": "lazy",
}


class Refusal(NamedTuple):
    """A pair that cannot work: its name, when it is met, and what the error says.

    Args:
      when: falsy: the case passes; a mapping: further words of the templates; an error: that one.
      field, says, why, instead: of the error, as templates over `Case.words`; without `says` it is
        the field's value. text: in their place, no sentence about a field.
    """

    name: str
    when: Callable[[Case], Any]
    field: str = ""
    says: str = ""
    why: str = ""
    instead: str = ""
    text: str = ""
    error: type[FieldError] = RefusedError

    def of(self, case: Case) -> FieldError | None:
        """The error of a case that meets it; None where the case passes."""
        found = self.when(case)
        if not found or isinstance(found, FieldError):
            return found or None
        words = case.words() | {"use": ADVICE} | (dict(found) if isinstance(found, Mapping) else {})
        told = {name: _filled(getattr(self, name), words) for name in ("text", "field", "says", "why", "instead")}
        room, _, name = told["field"].partition(".")
        return self.error(**told, got=getattr(case.network if room == "network" else case.problem, name))


def _filled(template: str, words: Mapping[str, Any]) -> str:
    """A template with its words; those of a config with the same."""
    filled = template.format_map(words)
    return Words(filled, template.command.format_map(words)) if isinstance(template, Words) else filled


__all__ = ["ADVICE", "Refusal"]
