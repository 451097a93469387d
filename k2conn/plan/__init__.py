"""The plan: a compiled connector file, with everything needed to run it.

The compiler builds plans and the engine runs them; neither knows the other. A plan is frozen data and compiled
callables; it has no logic of its own, no clock and no I/O. What changes with every frame is in `k2conn.scope`.

An attribute has the name of its key in the connector file. The exceptions: `for` and `from` are words of Python
(`Step.streams`, `expression`); `connector` is the plan's `name`; `url` and `failover` are its connections' `urls`;
`http` is the `method` and `url` of an HttpRequest; the messages that `reconnect` and `errors` describe are `notices`.

Words (never mixed): *frame* (from the socket) -> *message* (decoded) -> *item* (one element of a message)
-> *record* (v2 fields) -> *envelope* (encoded bytes with topic and key). "Channel" is the exchange's own word.
"""

from __future__ import annotations

from k2conn.plan.audit import AUDITED, Audit
from k2conn.plan.conditions import Affix, ConditionPath, Match
from k2conn.plan.connection import Answer, Connection, Heartbeat, Notice, SplitPath
from k2conn.plan.connector import Plan, PlanVariable
from k2conn.plan.encoding import FrameEncoding, SettingValue
from k2conn.plan.fields import (
    ROOTS,
    DirectPath,
    FastConversion,
    Field,
    JoinedText,
    RowOther,
    Separators,
    ValuePath,
)
from k2conn.plan.instruments import Instrument, InstrumentList, ListedInstrument, ListPages, ShownList, SymbolRule
from k2conn.plan.limits import POLITE_CONNECTS, Backoff, Limits, Rate
from k2conn.plan.sending import Capture, HttpRequest, MissingRange, SendScope, Template
from k2conn.plan.steps import Expect, Renewal, Retry, Step
from k2conn.plan.stream import (
    MOST_FORMS,
    Backfill,
    BackfillPage,
    Carry,
    ClearRule,
    IdScope,
    ItemForm,
    ItemForms,
    Level,
    QuickNumber,
    Sequence,
    Span,
    States,
    Stream,
)
from k2conn.plan.tests import ConnectorTest, DialogueTurn
from k2conn.plan.transport_words import Poll, ProgramWords
from k2conn.plan.values import Condition, Getter, Json, Reader
from k2conn.symbols import Symbol

__all__ = [
    "AUDITED",
    "MOST_FORMS",
    "POLITE_CONNECTS",
    "ROOTS",
    "Affix",
    "Answer",
    "Audit",
    "Backfill",
    "BackfillPage",
    "Backoff",
    "Capture",
    "Carry",
    "ClearRule",
    "Condition",
    "ConditionPath",
    "Connection",
    "ConnectorTest",
    "DialogueTurn",
    "DirectPath",
    "Expect",
    "FastConversion",
    "Field",
    "FrameEncoding",
    "Getter",
    "Heartbeat",
    "HttpRequest",
    "IdScope",
    "Instrument",
    "InstrumentList",
    "ItemForm",
    "ItemForms",
    "JoinedText",
    "Json",
    "Level",
    "Limits",
    "ListPages",
    "ListedInstrument",
    "Match",
    "MissingRange",
    "Notice",
    "Plan",
    "PlanVariable",
    "Poll",
    "ProgramWords",
    "QuickNumber",
    "Rate",
    "Reader",
    "Renewal",
    "Retry",
    "RowOther",
    "SendScope",
    "Separators",
    "Sequence",
    "SettingValue",
    "ShownList",
    "Span",
    "SplitPath",
    "States",
    "Step",
    "Stream",
    "Symbol",
    "SymbolRule",
    "Template",
    "ValuePath",
]
