"""Messages of the library in the words of the command line: keys of a config and flags in place of Python."""

import ast
import re
from collections.abc import Sequence
from typing import Any

# what only Python can do, and what the command line does instead
PHRASES = (
    (r"[Gg]o on with it by resume='([^']*)', or give another out", r"Go on with it: dejax resume \1; or give another --out"),
    (r"^out is ", "--out is "),
    (r"^resume is ", "RUN is "),
    (r"^memory is ", "--memory is "),
    (r"\banother (`out`|out)(?=[;.,]|$)", "another --out"),
    (r"; `error\.history` holds the run so far", "; what was measured before that is in the run directory"),
    (r"Resume with the same method, problem, network and seeds; .*params=", "Resume with the config and the code that it was made with, or start anew with another --out"),
    (r"check_memory=False \(--anyway\)", "--anyway"),
    (r" \(nodes=, eval\.nodes\)", " (eval.nodes)"),
    (r"\bset (\w+) to None", r"set \1 to null"),
    (r"\bgive k <= (\d+), or ratio=", r"give k <= \1, or ratio in place of k"),
    (r"(?<=, or )None\b|(?<=\bis )None\b|(?<=\bor )None\b", "null"),
)  # fmt: skip
SET = re.compile(r"--(?:set|over|out|resume) \S+|dejax resume \S+|\A[\w.]+=\S+(?:, [\w.]+=\S+)*: ")
CALL = re.compile(r"(?:(\w+)=)?\b(?:dejax|dj)(?:\.\w+)+\(|\bProblem\(\.\.\., ")
KEYWORD = re.compile(r"(?<![\w./-])([a-z_]\w*)=(None|True|False|'[\w.-]*'|\"[\w.-]*\"|[\d.e+-]+\w*)")
WORDS = {"None": "null", "True": "true", "False": "false"}


def on_the_command_line(text: str, command: str = "", over: Sequence[str] = ()) -> str:
    """A message with what it says in Python said in keys and flags; overrides that it quotes stay as they are.

    Args:
      command: the command that was given. over: paths that it sweeps over, which the library knows as overrides.
    """
    for path in over:
        text = text.replace(f"--set {path}=", f"--over {path}=")
    if command == "resume":
        text = text.replace("--set rounds=", "--rounds ")
    kept = SET.findall(text)
    text = SET.sub("\0", text)
    for pattern, words in PHRASES:
        text = re.sub(pattern, words, text)
    text = KEYWORD.sub(lambda m: f"{m[1]}: {WORDS.get(m[2], m[2].strip(chr(34) + chr(39)))}", _calls(text))
    return re.sub("\0", lambda _: kept.pop(0), text)


def _calls(text: str) -> str:
    """`optimizer=dejax.optimizer(optax.adam, learning_rate=1e-3)` -> `optimizer: {adam: {learning_rate: 1e-3}}`."""
    out, at = "", 0
    while found := CALL.search(text, at):
        start = (
            found.end() if found[0].startswith("Problem") else found.start() + (len(found[1]) + 1 if found[1] else 0)
        )
        end = _end(text, found.end() if not found[0].startswith("Problem") else found.start() + len("Problem("))
        out += text[at : found.start()]
        if found[0].startswith("Problem"):
            out += text[start : end - 1]
        else:
            out += (f"{found[1]}: " if found[1] else "") + _spec(text[start:end])
        at = end
    return out + text[at:]


def _end(text: str, at: int) -> int:
    """Behind the bracket that closes the one before `at`."""
    depth = 1
    while depth and at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at


def _spec(text: str) -> str:
    """A call of Python as a config spells it; what cannot be read stays."""
    try:
        return _plain(ast.parse(text, mode="eval").body)
    except SyntaxError:
        return text


def _plain(node: Any) -> str:
    if not isinstance(node, ast.Call):
        word = ast.unparse(node)
        return WORDS.get(word, word.strip("'\""))
    name = ast.unparse(node.func).split(".")[-1]
    if name == "optimizer" and node.args:
        name = ast.unparse(node.args[0]).split(".")[-1]
    inner = ", ".join(f"{k.arg}: {_plain(k.value)}" for k in node.keywords)
    return f"{{{name}: {{{inner}}}}}" if inner else name


__all__ = ["on_the_command_line"]
