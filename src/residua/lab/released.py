"""Released weights that are on this machine, for the view "Look inside"; the page downloads nothing."""


def downloaded_weights() -> list[str]:
    """Names of the catalogue's weights of networks for images whose files are here.

    It imports torch, so the server calls it in the process that holds networks.
    """
    from residua.spec.named_network import arch_of
    from residua.weights import catalogue
    from residua.weights.fetch import cached

    entries = (entry for entry in catalogue.entries() if cached(entry))
    return [entry.name for entry in entries if not arch_of(entry.model).clip]
