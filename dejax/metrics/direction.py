"""Which way a number is better: by what was declared of it, or by the words of its name."""

import re
from collections.abc import Mapping
from typing import Any

from ..core.architectures import tasks_of
from ..errors import Words, bad


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of names of which more is better, and less
MORE = _words("""
    acc accuracy accuracies ari auc aupr auprc auroc bleu chrf dice elbo f1 fbeta fscore hit hits iou jaccard jain kappa
    likelihood mcc meteor miou mrr ndcg nmi pearson precision psnr purity r2 recall return returns reward rewards rouge
    sensitivity spearman specificity ssim success throughput utility welfare win winrate wins
""")
LESS = _words("""
    bce bpb bpc brier cer cost crossentropy deviation disagreement disparity distance divergence drop ece err error errors
    fid forgetting fnr fpr gap kl latency loss losses mae mape mse nll perplexity ppl range regret residual residuals risk
    rmse rmsle spread std stdev suboptimality var variance violation violations wer xent
""")
# more is better, where no other word says anything: of top5, but not of top5_error
WEAK = re.compile(r"score|scores|top\d+|topk")
# of something else, as the gap of accuracies is: less is better whichever way that is
SPREADS = _words("deviation disparity drop err error errors gap range spread std stdev var variance")
# what turns others around, or may: nothing is said of names that hold one in any part
DOUBTFUL = _words("""
    attack attacker backdoor closed decrease decreased explained gain improvement inv inverse membership minus neg negative
    no poison poisoned reduction removed saved saving savings
""")
# several words, and one that stands for them
PHRASES = {
    "explained variance": "accuracy",
    "variance explained": "accuracy",
    "true positive": "accuracy",
    "true negative": "accuracy",
    "false positive": "error",
    "false negative": "error",
    "cross entropy": "loss",
    "negative log likelihood": "loss",
    r"top (?:\d+|k)": "topk",
}
# numbers of dejax of which less is better, by their first part
OWN = _words("""
    objective consensus heterogeneity gradient sharpness hessian_trace bytes flops joules seconds wall epsilon
""")
# what stands at the end of a later part: M/local_std and its like
OF_NODES = {"std": False, "variance": False, "range": False, "jain": True, "entropy": True}


def higher(name: str, declared: Mapping[str, bool] | None = None) -> bool | None:
    """Return whether more of a number is better; None where nothing says it.

    Args:
      name: as records have it, "accuracy/local_std": its parts between "/", of which the first that says something counts.
      declared: name, or first part of names, -> whether more is better; wins over words.
    """
    declared = declared or {}
    first, *rest = name.split("/")
    if name in declared:
        return declared[name]
    for part in rest:
        _, _, end = part.rpartition("_")
        if end != part and end in OF_NODES:
            return OF_NODES[end]
    if first in declared:
        return declared[first]
    parts = [_words_of(part) for part in (first, *rest)]
    if any(DOUBTFUL.intersection(words) for words in parts):
        return None
    if first in OWN:
        return False
    said = (_by_words(words) for words in parts[:2])
    return next((found for found, any_ in said if any_), None)


def _words_of(part: str) -> list[str]:
    """The words of one part of a name, phrases by the word that stands for them."""
    text = " ".join(re.findall(r"[a-z]+\d*|\d+", part.lower()))
    for phrase, word in PHRASES.items():
        text = re.sub(rf"\b{phrase}s?\b", word, text)
    return [w if w in MORE or WEAK.fullmatch(w) else w.rstrip("0123456789") for w in text.split()]


def _by_words(words: list[str]) -> tuple[bool | None, bool]:
    """(whether more is better, whether the words say anything of it)."""
    telling = [w for w in words if w in MORE or w in LESS]
    if not telling:
        weak = any(WEAK.fullmatch(w) for w in words)
        return (True if weak else None), weak
    more = {w in MORE for w in telling}
    if "drop" in telling and more == {False} and len(telling) > 1:  # of a loss: it went down
        return None, True
    if len(more) == 1:
        return more.pop(), True
    return (False if telling[-1] in SPREADS else None), True


def needed(name: str, declared: Mapping[str, bool] | None = None, given: bool | None = None) -> bool:
    """Return whether more of a number is better: as `given`, or as `higher` finds it.

    Raises:
      ValueError, TypeError: nothing says it; `given` is no truth value.
    """
    if given is not None and not isinstance(given, bool):
        raise bad("higher", given, instead="give True where more is better, False where less is, or leave it out")
    found = higher(name, declared) if given is None else given
    if found is None:
        why = f"but nothing says whether more of {name!r} is better"
        way = Words("give higher=True, or higher=False", f"give --higher {name}, or --lower {name}")
        more = (
            ", or declare it where it is measured, as an attribute of the function: higher = {" + repr(name) + ": True}"
        )
        raise bad("higher", None, says="is missing", why=why, instead=way + more)
    return found


def declared(*owners: Any) -> dict[str, bool]:
    """Collect what tasks and metrics declare of which way their numbers are better.

    That is their attribute `higher`, name -> whether more is better. Of several architectures what each task declares.

    Raises:
      ValueError, TypeError: another attribute; two that say the opposite.
    """
    out: dict[str, bool] = {}
    for owner in (one for given in owners for one in tasks_of(given)):
        function = getattr(owner, "func", owner)
        said = getattr(function, "higher", None)
        if said is None:
            continue
        field = f"{getattr(function, '__name__', type(function).__name__)}.higher"
        if not isinstance(said, Mapping) or not all(type(v) is bool and isinstance(k, str) for k, v in said.items()):
            raise bad(field, said, instead="give a dict from names to True or False, e.g. {'recovered': True}")
        for name, more in said.items():
            if out.setdefault(name, more) is not more:
                why = f"but another metric or task says {not more} of {name!r}"
                raise bad(field, dict(said), why=why, instead="say the same, or give it another name")
    return out


__all__ = ["declared", "higher", "needed"]
