"""What the OpenAPI document promises is what comes, for whatever is asked: by Schemathesis, that did not write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.errors import IncorrectUsage
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.api import Serving, some_candles, some_trades, written

load_all_checks()
EXAMPLES = 6
"""Of each operation, beside those for each bound of each parameter."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("contract")
    written(folder / "data", [*some_trades(0, 30), *some_candles()])
    with Serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def document(serving: Serving) -> Any:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{serving.port}/openapi.json").exclude(path="/v1/stream")


@pytest.mark.deploy
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_document_is_kept(document: Any, mode: GenerationMode) -> None:
    operations = [one.ok() for one in document.get_all_operations()]
    assert len(operations) > 10
    for operation in operations:
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except IncorrectUsage:  # an operation without parameters cannot be asked wrongly
            continue

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))
        @given(case=strategy)
        def asked(case: Any) -> None:
            ours = [positive_data_acceptance] if "cursor" in (case.query or {}) else []  # only we write cursors
            response = case.call()
            if response.status_code == 414:
                assert len(response.request.url) > 4096
                return
            case.validate_response(response, excluded_checks=ours)

        try:
            asked()
        except Unsatisfiable:
            continue


def test_the_document_names_every_path_and_its_problems(serving: Serving) -> None:
    document = serving.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert {"/health", "/v1/trades", "/v1/trades/recent", "/v1/quotes", "/v1/candles", "/v1/ohlcv/{interval}",
            "/v1/ohlcv/batch", "/v1/ohlcv/health", "/v1/symbols", "/v1/stats", "/v1/gaps", "/v1/stream",
            "/v1/summary/{symbol}/{date}"} <= set(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "429" in operation["responses"], path
    trade = document["components"]["schemas"]["Trade"]
    assert trade["properties"]["price"]["type"] == "string"
    assert trade["properties"]["side"]["enum"] == ["BUY", "SELL", "SELL_SHORT", "UNKNOWN"]


def test_it_can_fail(tmp_path: Path) -> None:
    """The schema of a page refuses a number where a text is promised."""
    import jsonschema

    with Serving(tmp_path) as serving:
        trade = serving.get("/openapi.json").json["components"]["schemas"]["Trade"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(1.5, trade["properties"]["price"])
