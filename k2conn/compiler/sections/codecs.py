"""Compiles ``codec:``: how text and binary frames become messages.

The words and settings are those of the codecs themselves (`k2conn.codecs`), whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from k2conn import exactjson
from k2conn.codecs import CODECS, Codec, FileFormat, MessageFormat, Setting
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import size
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.beside import file_beside
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import PluginError, SettingsError
from k2conn.plan import FrameEncoding, SettingValue

REFUSE = "refuse"
"""The word for frames of a kind that the venue does not send."""
_OWN_KEYS = ("text", "binary", "limit")
_JSON = "json"


class CodecCompiler:
    """Compiles the codecs of one connector; ``folder`` is where files beside it lie."""

    def __init__(self, note: CompileContext, folder: FilePath) -> None:
        self.note = note
        self.folder = folder

    def encoding(self, said: Any, path: Path) -> FrameEncoding:
        """One `codec:`; a word says it for binary frames, text frames are JSON then."""
        if isinstance(said, str):
            chain = self._chain(said, path, "binary")
            if chain is not None:
                self._settings({}, chain, path)
            return FrameEncoding((_JSON,), tuple(chain or ()))
        text, binary = (
            self._chain(said.get(kind, _JSON), (*path, kind), kind, (REFUSE,)) for kind in ("text", "binary")
        )
        limit = self.note.read(size, said.get("limit", "8 MiB"), (*path, "limit")) or FrameEncoding().limit
        if text is None or binary is None:
            return FrameEncoding()
        settings = self._settings(said, text | binary, path)
        return FrameEncoding(tuple(text), tuple(binary), limit, settings)

    def of_rows(self, said: Any, path: Path) -> FrameEncoding:
        """The `codec:` of files: one format that reads rows, by its word or as `text:`."""
        whole = {"text": said} if isinstance(said, str) else said or {}
        place = (*path, "text") if isinstance(said, dict) and "text" in said else path
        chain = self._chain(whole["text"], place, "text") if "text" in whole else {}
        if chain is None:
            return FrameEncoding()
        names = [name for name, one in _all() if isinstance(one, FileFormat)]
        if len(chain) != 1 or not isinstance(next(iter(chain.values())), FileFormat):
            text = f"files say what their rows are: `codec: {{text: FORMAT}}`, a format of rows{known('', names)}"
            self.note(place, "value", text)
            return FrameEncoding()
        if "binary" in whole:
            self.note((*path, "binary"), "value", "files are text: leave `binary` out", at_key=True)
        limit = self.note.read(size, whole.get("limit", "1 MiB"), (*path, "limit")) or FrameEncoding().limit
        return FrameEncoding(tuple(chain), tuple(chain), limit, self._settings(whole, chain, path))

    def of_body(self, said: Any, path: Path) -> FrameEncoding:
        """The `codec:` of an answer's body, by its words or as `text:`; JSON where nothing is said."""
        whole = {"text": said} if isinstance(said, str) else said or {}
        place = (*path, "text") if isinstance(said, dict) and "text" in said else path
        chain = self._chain(whole.get("text", _JSON), place, "binary")
        if "binary" in whole:
            self.note((*path, "binary"), "value", "a body is one: say its codecs as `text`", at_key=True)
        limit = self.note.read(size, whole.get("limit", "16 MiB"), (*path, "limit")) or FrameEncoding().limit
        if chain is None:
            return FrameEncoding()
        return FrameEncoding(tuple(chain), tuple(chain), limit, self._settings(whole, chain, path))

    # -- words

    def _chain(self, words: str, path: Path, kind: str, besides: tuple[str, ...] = ()) -> dict[str, Codec] | None:
        """The codecs that ``words`` name, joined by `+`, and JSON at the end where no other format stands there; None
        after noting a problem. ``besides``: words that are no codec but stand for all.
        """
        if words in besides:
            return {}
        found: dict[str, Codec] = {}
        at = 0
        for name in words.split("+"):
            first = not found
            codec = self._codec(name, path, at, kind if first else "binary", besides if first else ())
            if codec is None:
                return None
            if name in found or any(isinstance(one, MessageFormat) for one in found.values()):
                why = "stands twice" if name in found else "comes after a format, which ends the chain"
                self.note(path, "value", f"'{name}' {why}", offset=at)
                return None
            found[name] = codec
            at += len(name) + 1
        if not any(isinstance(one, MessageFormat) for one in found.values()):
            found[_JSON] = CODECS.get(_JSON)
        return found

    def _codec(self, name: str, path: Path, at: int, kind: str, besides: tuple[str, ...]) -> Codec | None:
        """One codec that reads that kind of frames; None after noting that there is none."""
        try:
            codec = CODECS.get(name)
        except PluginError as error:
            self.note(path, "value", str(error), offset=at)
            return None
        except SettingsError:
            self.note(path, "value", f"'{short(name)}' is not allowed{known(name, _fitting(kind, besides))}", offset=at)
            return None
        if not _reads(codec, kind):
            names = known("", _fitting(kind, besides))
            self.note(path, "value", f"'{name}' does not read {kind} frames{names}", offset=at)
            return None
        return codec

    # -- settings

    def _settings(self, said: Mapping[str, Any], codecs: Mapping[str, Codec], path: Path) -> dict[str, SettingValue]:
        """The settings of these codecs; what is missing, unknown or unusable is noted."""
        wanted = {setting.name: setting for codec in codecs.values() for setting in codec.settings}
        self._check_keys(said, wanted, path)
        found: dict[str, SettingValue] = {}
        for name, setting in wanted.items():
            if name in said:
                place = (*path, name)
                value = file_beside(said[name], place, self.folder, self.note) if setting.file else _spelled(said[name])
                if value is not None:
                    found[name] = value
        for name, codec in codecs.items():
            required = [one for one in codec.settings if one.required]
            if any(one.name not in said for one in required):
                needs = " and ".join(f"`{one.name}:` ({one.description})" for one in required)
                self.note(path, "missing", f"{name} needs {needs}")
            elif codec.settings and all(one.name in found for one in required):
                self._check(codec, found, path)
        return found

    def _check(self, codec: Codec, settings: dict[str, SettingValue], path: Path) -> None:
        try:
            codec.check(settings)
        except ValueError as error:
            self.note(path, "value", str(error))

    def _check_keys(self, said: Mapping[str, Any], wanted: Mapping[str, Setting], path: Path) -> None:
        for key in said:
            if key in _OWN_KEYS or key in wanted:
                continue
            owner = next((name for name, one in _all() if any(key == setting.name for setting in one.settings)), None)
            if owner is not None:
                self.note((*path, key), "value", f"`{key}` is for the codec `{owner}`", at_key=True)
            else:
                text = f"unknown key '{short(key)}'{known(key, (*_OWN_KEYS, *wanted))}"
                self.note((*path, key), "unknown-key", text, at_key=True)


def _spelled(value: Any) -> str | tuple[str, ...]:
    """A setting as codecs are given it: text in JSON spelling, or texts."""
    return tuple(map(str, value)) if isinstance(value, list) else exactjson.spell(value)


def _reads(codec: Codec, kind: str) -> bool:
    return codec.text if kind == "text" else codec.binary


def _fitting(kind: str, besides: tuple[str, ...]) -> list[str]:
    """The names of all codecs that read a kind of frames, and what else may stand there."""
    return [*(name for name, codec in _all() if _reads(codec, kind)), *besides]


def _all() -> Iterator[tuple[str, Codec]]:
    """All codecs that can be used; one of a broken package says what is wrong when it is asked for itself."""
    for name in CODECS.names():
        try:
            yield name, CODECS.get(name)
        except PluginError:
            continue
