"""The addresses of `residua serve`, read from the application that it runs, for a network made for this."""

import tempfile
from pathlib import Path

import residua
from residua.serve.app import create_app
from residua.serve.loading import load_model


def rows() -> list[tuple[str, str]]:
    """Method and address, and what is answered with which status."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network")
        residua.save(residua.create_model("cifar_resnet20", num_classes=2), path)
        app = create_app(load_model(path, engine="torch"))
    document = app.openapi()
    app.state.service.close()
    return [
        (f"`{method.upper()} {path}`", _answer(operation))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def _answer(operation: dict) -> str:
    """The description of an operation, its query and its statuses."""
    query = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    asked = f" Query: {', '.join(f'`{name}`' for name in query)}." if query else ""
    return f"{operation['description']}{asked} Status: {', '.join(operation['responses'])}."
