"""The hosts that a connector file talks to, as commands list them."""

from __future__ import annotations

from collections.abc import Iterator

from k2conn.engine.planning.written_hosts import told_hosts, written_hosts
from k2conn.hosts import is_public_host, only_this_machine
from k2conn.loopback import is_loopback
from k2conn.plan import Plan
from k2conn.variables import prefix_of


def listed_hosts(plan: Plan) -> list[dict[str, object]]:
    """For machines, one object each."""
    return [{"connector": plan.name, "host": host, "public": is_public_host(host)} for host in _hosts(plan)]


def host_text(plan: Plan) -> str:
    """For people: ``api.example.com, 10.0.0.1 (not public: ...)``."""
    hosts = _hosts(plan)
    programs = [one for one in plan.connections if one.transport == "exec"]
    runs = [text.removeprefix("exec://") for one in programs for text in one.url_texts]
    if runs:
        beside = f", and {', '.join(_words(plan, hosts))}" if hosts else ""
        return f"the program {', '.join(dict.fromkeys(runs))} (refused unless {prefix_of(plan.name)}ALLOW_EXEC){beside}"
    if not hosts:  # it reads files
        return "nobody"
    if all(map(is_loopback, hosts)):
        return f"{', '.join(hosts)} (this machine only: any port of it)"
    return ", ".join(_words(plan, hosts))


def _words(plan: Plan, hosts: list[str]) -> Iterator[str]:
    told = told_hosts(plan)
    for host in hosts:
        if is_public_host(host):
            yield host
            continue
        what = "this machine" if is_loopback(host) else "not public"
        refused = f": refused unless {prefix_of(plan.name)}ALLOW_PRIVATE_HOSTS=true"
        yield f"{host} ({what}{'' if only_this_machine(host, told) else refused})"


def _hosts(plan: Plan) -> list[str]:
    return sorted(written_hosts(plan))
