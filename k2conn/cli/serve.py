"""`k2conn serve`: records over HTTP."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k2conn.cli.event_loop import on_event_loop
from k2conn.errors import CollectedProblems, SettingsError, known
from k2conn.records import RecordType, known_records, load_record
from k2conn.runner.event_log import LEVELS, configure
from k2conn.settings import in_own_names, sink_settings
from k2conn.settings.environment import Environment
from k2conn.variable_files import SUFFIX

if TYPE_CHECKING:
    from k2conn.api.live.hub import Hub
    from k2conn.api.settings import ApiSettings
    from k2conn.api.store import Store
    from k2conn.api.stores.threads import BlockingStore

PACKAGES = ("fastapi", "uvicorn")
LAKE_PACKAGES = ("pyiceberg", "pyarrow", "duckdb")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says; None where it says nothing."""

    host: str | None = None
    port: str | None = None
    store: str | None = None
    folder: Path | None = None
    kafka: str | None = None
    registry: str | None = None
    log_level: str = "info"
    daemon: bool = False


def run(options: ServeOptions) -> int:
    """Serves; returns the exit code."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingsError(f"k2conn serve needs packages more ({', '.join(missing)}): pip install 'k2conn[api]'")
    from k2conn.api.live.hub import Hub
    from k2conn.api.server import listening_socket, serve
    from k2conn.api.service import Service

    if options.log_level.lower() not in LEVELS:
        raise SettingsError(f"--log-level {options.log_level}{known(options.log_level, LEVELS)}")
    form = os.environ.get("K2_LOG_FORMAT", "").strip().lower()
    problems = CollectedProblems()
    settings, store, broker = None, None, None
    with problems.noting():
        settings = api_settings(options, os.environ)
    with problems.noting():
        store = store_of(settings, os.environ) if settings is not None else None
    with problems.noting():
        broker = broker_of(options, os.environ)
    problems.finish()
    assert settings is not None
    assert store is not None
    configure(options.log_level.lower(), form == "json" if form else options.daemon)
    records = {one.profile.plural: one for one in map(load_record, known_records())}
    sock = listening_socket(settings.host, settings.port)

    async def until_stopped() -> None:
        hub = Hub(records.values(), settings.listeners, settings.listener_records)
        try:
            await store.open()
            service = Service(settings, store, hub, records, broker is not None)
            await serve(service, live_of(settings, broker, store, hub, records), sock)
        finally:
            sock.close()
            await store.close()

    on_event_loop(until_stopped)
    return 0


def api_settings(options: ServeOptions, environment: Mapping[str, str]) -> ApiSettings:
    """The settings, flags before variables. SettingsError with all problems, in the names that the user typed."""
    from k2conn.api.settings import VARIABLES, ApiSettings

    reader = Environment(environment)
    given = {setting: reader.get(name, kind) for name, (setting, kind) in VARIABLES.items()}
    names = {setting: name for name, (setting, _) in VARIABLES.items()}
    tuples = {one.name for one in fields(ApiSettings) if one.type == "tuple[str, ...]"}
    flags: dict[str, Any] = {"host": options.host, "store": options.store, "folder": options.folder}
    if options.port is not None:
        flags["port"] = reader.read("--port", options.port, "port")
    for name, value in flags.items():
        if value is not None:
            given[name], names[name] = value, f"--{name}"
    if given["folder"] is None and (folder := reader.get("K2_SINK_FOLDER", "path")) is not None:
        given["folder"] = folder
    _unknown(environment, reader)
    said = {name: value for name, value in given.items() if value is not None}
    made: dict[str, Any] = {name: tuple(value) if name in tuples else value for name, value in said.items()}
    try:
        found = ApiSettings(**made)
    except SettingsError as error:
        reader.problems += [in_own_names(one, names) for one in error.problems]
    reader.finish()
    return found


def _unknown(environment: Mapping[str, str], reader: Environment) -> None:
    """A variable with our prefix that nothing reads is a mistake."""
    from k2conn.api.settings import VARIABLES

    for name in environment:
        if name.startswith("K2_API_") and name not in VARIABLES and name.removesuffix(SUFFIX) not in VARIABLES:
            reader.problems.append(f"{name} is no setting{known(name, VARIABLES)}")


def store_of(settings: ApiSettings, environment: Mapping[str, str]) -> Store:
    """The store that answers."""
    within = settings.timeout_ms / 1000
    if settings.store == "postgres":
        from k2conn.sinks import SINKS

        options = sink_settings(environment, kind="postgres").options
        if problems := SINKS.get("postgres").check(options):
            raise SettingsError(*problems)
        if find_spec("asyncpg") is None:
            raise SettingsError("the store postgres needs a package more: pip install 'k2conn[postgres]'")
        from k2conn.api.stores.postgres import PostgresStore

        return PostgresStore(options, settings.queries, within)
    from k2conn.api.stores.files import FilesStore
    from k2conn.api.stores.threads import ThreadedStore

    if settings.store == "lake":
        return ThreadedStore(_lake(environment), settings.queries, within)
    return ThreadedStore(FilesStore(settings.folder), settings.queries, within)


def _lake(environment: Mapping[str, str]) -> BlockingStore:
    """The lake that ``K2_LAKE_*`` names."""
    missing = [name for name in LAKE_PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingsError(f"the store lake needs packages more ({', '.join(missing)}): pip install 'k2conn[lake]'")
    from k2conn.api.stores.lake import LakeStore
    from k2conn.lake.settings import VARIABLES, LakeSettings

    reader = Environment(environment)
    given = {setting: reader.get(name, kind) for name, (setting, kind) in VARIABLES.items()}
    reader.finish()
    try:
        return LakeStore(LakeSettings(**{name: value for name, value in given.items() if value is not None}))
    except SettingsError as error:
        names = {setting: name for name, (setting, _) in VARIABLES.items()}
        raise SettingsError(*(in_own_names(one, names) for one in error.problems)) from None


def broker_of(options: ServeOptions, environment: Mapping[str, str]) -> Any:
    """The settings of the broker whose topics are followed; None where none is named."""
    if not options.kafka and not environment.get("K2_KAFKA_BOOTSTRAP_SERVERS", "").strip():
        if options.registry:
            raise SettingsError("--registry needs --kafka")
        return None
    found = sink_settings(environment, kind="kafka", kafka=options.kafka, registry=options.registry)
    return found.options


def live_of(
    settings: ApiSettings, broker: Any, store: Store, hub: Hub, records: dict[str, RecordType]
) -> Coroutine[Any, Any, None]:
    """The source of live records."""
    if broker is None:
        from k2conn.api.live.polling import StoreTail

        return StoreTail(store, hub, records).run()
    from k2conn.api.live.topics import TopicTail
    from k2conn.sinks.kafka.following import WrittenSchemas, follow

    return TopicTail(lambda back: follow(broker, settings.topics, back), WrittenSchemas(broker), hub, records).run()
