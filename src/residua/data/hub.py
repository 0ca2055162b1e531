"""Whether a hub answers: asked once, before a library that would ask for minutes, or without end."""

from typing import Literal

from residua.data.decode import one_line, printable_path
from residua.data.download_settings import hub_endpoint, is_offline
from residua.errors import UnreachableError

_SECONDS = 10.0  # without an answer, after which the hub counts as unreachable
_LATER = (408, 429)  # statuses that ask to come again


def check_hub(kind: Literal["dataset", "model"], name: str, *, revision: str | None = None) -> None:
    """Check that the hub answers; nothing is asked where the user forbids downloads.

    Args:
        kind: What is looked for.
        name: Its name on the hub. Whether it exists is not checked.
        revision: A branch, tag or commit; None for the newest.

    Raises:
        UnreachableError: The hub does not answer, or refuses all requests.
    """
    from huggingface_hub import HfApi

    if is_offline():
        return
    try:
        HfApi(endpoint=hub_endpoint()).repo_info(name, repo_type=kind, revision=revision, timeout=_SECONDS)
    except Exception as error:  # the library changed its HTTP client, and with it the errors
        if is_refusal(error):
            return
        reason = error
    else:
        return
    remedy = "try again later, or set HF_HUB_OFFLINE=1 to use what was downloaded before"
    raise UnreachableError(
        f"the hub does not answer for {printable_path(name)} ({one_line(reason)}): {remedy}"
    ) from None


def is_refusal(error: Exception) -> bool:
    """Whether the hub answered with `error` that it does not have or does not give what was asked for."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status < 500 and status not in _LATER
    if isinstance(error.__cause__, Exception):  # the library looked into its cache after the answer
        return is_refusal(error.__cause__)
    return isinstance(error, ValueError)  # a name that none can have
