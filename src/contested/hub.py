"""Why something could not be loaded from the hub, in one sentence, whichever library said so."""

from __future__ import annotations

from collections.abc import Iterator

_CUT = "the download was cut off; repeat the command, and what is there already is not loaded again"
_ABSENT = "it is not in the cache, and the hub cannot be reached or is not asked (HF_HUB_OFFLINE)"
_REASONS: dict[str, str] = {
    "GatedRepoError": "it is gated: ask for access on its page, then log in (hf auth login)",
    "RevisionNotFoundError": "it has no revision of that name (a branch, a tag or a commit)",
    "RepositoryNotFoundError": "the hub has no repository of that name, or it is private (hf auth login)",
    "OfflineModeIsEnabled": _ABSENT,
    "RemoteProtocolError": _CUT,
    "IncompleteRead": _CUT,
    **dict.fromkeys(("LocalEntryNotFoundError", "ConnectError", "ConnectTimeout", "ReadTimeout"), _ABSENT),
}
"""Name of an error of ``huggingface_hub`` or of what it loads with, and what it means; the first one counts."""
_SAID = {"gated": _REASONS["GatedRepoError"], "Consistency check failed": _CUT, "OfflineModeIsEnabled": _ABSENT}


def hub_reason(error: BaseException) -> str:
    """Say why the hub did not give what was asked for.

    Args:
        error: What another library raised.

    Returns:
        A clause without a full stop; empty where the hub is not what failed.
    """
    chain = list(_chain(error))
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    found = next((reason for name, reason in _REASONS.items() if name in names), "")
    return found or next((reason for word, reason in _SAID.items() if word in str(error)), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
