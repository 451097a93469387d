"""`k2conn group`: the members of a group, and who has which slots."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from itertools import groupby

from k2conn.cli.messages import show_json
from k2conn.cli.run_options import RunOptions
from k2conn.cli.screen import Column, Console, Styled, line, screen, table
from k2conn.cli.startup import sink_settings_of
from k2conn.compiler.language.problems import known
from k2conn.errors import SettingsError
from k2conn.group.removal import remove
from k2conn.group.survey import GroupSurvey, survey
from k2conn.settings.group import read_group
from k2conn.sinks.kafka.settings import KafkaSettings

FORMATS = ("text", "json")
_MEMBER = (
    Column("member"), Column("slots", right=True), Column("load", right=True, leaves=4),
    Column("carried", right=True), Column("handing over", right=True, leaves=3), Column("unsent", right=True, leaves=5),
    Column("heard", right=True, leaves=2), Column("host", leaves=6, least=12), Column("version", leaves=7),
    Column("which", leaves=1, least=20),
)


def run(name: str, kafka: str | None, form: str, reload: bool, removed: str | None) -> int:
    """Prints how the group does; returns 0 where every slot has an owner that carries it, else 1. ``removed``: a member
    that is taken out first.
    """
    if form not in FORMATS:
        raise SettingsError(f"--format {form}{known(form, FORMATS)}")
    sink = sink_settings_of(RunOptions(sink="kafka", kafka=kafka), os.environ)
    assert isinstance(sink.options, KafkaSettings)
    settings = read_group(os.environ, "NAME", name, sink.options)
    if removed is not None:
        asyncio.run(remove(settings, removed))
    found = asyncio.run(survey(settings, reload))
    if form == "json":
        show_json(found)
    else:
        _show(found, screen())
    return 0 if found["members"] and not troubles(found) else 1


def troubles(found: GroupSurvey) -> list[str]:
    """What is amiss, in words."""
    if not found["members"]:
        return ["no member is heard"]
    said = [
        (found["without_owner"], "slots without an owner"), (found["not_carried"], "slots that nobody carries"),
    ]
    troubles = [f"{len(slots)} {words}: {ranges(slots)}" for slots, words in said if slots]
    if found["silent"]:
        troubles.append(f"not heard any more: {', '.join(found['silent'])}")
    if found["kinds"] > 1:
        troubles.append("members run other connectors, or have another number of slots")
    if found["symbols"] > 1:
        troubles.append("members name other symbols: each slot has those that its owner knows")
    return troubles


def ranges(slots: Iterable[int]) -> str:
    """Numbers as people write them: 0-3, 7."""
    runs = [[slot for _, slot in run] for _, run in groupby(enumerate(slots), lambda one: one[1] - one[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _show(found: GroupSurvey, console: Console) -> None:
    line(console, Styled(f"group {found['name']}", "bold"),
         f"  {len(found['members'])} members, {found['slots']} slots, generation {found['generation']}, "
         f"connectors {', '.join(found['connectors']) or 'none'}")
    rows = [
        (one["instance"], str(one["owned"]), str(one["load"]), str(one["carrying"]), str(len(one["handing_over"])),
         str(one["unsent"]), f"{one['heard_ago']} s ago", one["host"], one["version"], ranges(one["slots"]))
        for one in found["members"]
    ]
    if rows:
        console.print(table(_MEMBER, rows, console.width))
    for text in troubles(found):
        line(console, Styled(text, "yellow"))
    if found["carried_twice"]:
        line(console, f"moving just now: {ranges(found['carried_twice'])}")
