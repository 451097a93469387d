"""Problems of the forms of a file taken together, each with an example name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from k2conn.compiler.language.problems import short
from k2conn.compiler.sections.form_overlaps import FormAutomaton, Steps, common_name, is_covered, two_readings
from k2conn.compiler.sections.symbols import Form

_NARROW = "say under `parts:` what a part may be (digits, a kind of date, a list of words)"


def overlaps(forms: Sequence[Form]) -> Iterator[tuple[str, int]]:
    """(problem, index of the form) for forms that are ambiguous or overlap."""
    steps = Steps()
    for at, form in enumerate(forms):
        found = two_readings(form.pieces, steps)
        if found is not None:
            name, one, other = found
            yield f"'{name}' has two readings: {_reading(name, one)}, or {_reading(name, other)}; {_NARROW}", at
    automata = [FormAutomaton(form.pieces) for form in forms]
    for at, form in enumerate(forms):
        names = {earlier: common_name(automata[earlier], automata[at], steps) for earlier in range(at)}
        takers = [earlier for earlier, name in names.items() if name is not None]
        if takers and is_covered(automata[at], [automata[earlier] for earlier in takers], steps):
            whose = " and ".join(f"'{short(forms[earlier].text)}'" for earlier in takers)
            yield f"'{short(form.text)}' never reads a name: {whose} before it takes all of them; {_NARROW}", at
            continue
        for earlier in takers:
            if not forms[earlier].overrides:
                text = (f"'{names[earlier]}' is read by '{short(forms[earlier].text)}' and by '{short(form.text)}': "
                        f"{_NARROW}, or `overrides: true` in the first, if it shall have such names")
                yield text, at


def _reading(name: str, owners: Sequence[str]) -> str:
    """A name's parts by the owner of each character: ``base A, quote B``."""
    found: list[str] = []
    for part, group in groupby(zip(owners, name, strict=True), key=lambda one: one[0]):
        text = "".join(character for _, character in group)
        if part:
            found.append(f"{part} {text}")
    return ", ".join(found)
