"""The OpenAPI document, tried out by schemathesis against a real server."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from server_process import Server

schemathesis: Any = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytest.importorskip("schemathesis.specs.openapi.checks")  # 4.29 names its checks only once they are imported
QUICK = settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""The same few examples in every run."""


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    with server.client() as client:
        document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_the_document_names_every_route_and_no_other_host(document: dict[str, Any]) -> None:
    assert {"/predict", "/v2", "/v2/models/{name}", "/v2/models/{name}/infer", "/metrics"} <= set(
        document["paths"]
    )
    assert "://" not in str(document).replace("http://swagger", "")
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "422" not in operation["responses"]


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_server_keeps_to_its_document(server: Server, document: dict[str, Any], mode: str) -> None:
    """Examples of every operation, right and wrong: each status and content type stands in the document."""
    checks = schemathesis.checks
    chosen = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

        @QUICK
        @given(case=cases)
        def send(case: Any) -> None:
            case.call_and_validate(base_url=server.address, checks=chosen)

        try:
            send()
        except Unsatisfiable:
            assert mode == "negative"  # an operation without parameters takes nothing wrong
    assert len(operations) >= 10
