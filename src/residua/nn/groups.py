"""Parameters of a network by layer, from the stem to the head."""

from residua.nn.network import Network


def layer_groups(network: Network) -> list[list[str]]:
    """Names of parameters: the stem's, one list per block, the tail's and the head's."""
    found: dict[str, list[str]] = {}
    for name, _ in network.named_parameters():
        parts = name.split(".")
        key = ".".join(parts[:3]) if parts[0] == "stages" else "head" if parts[0] == "tail" else parts[0]
        found.setdefault(key, []).append(name)
    return list(found.values())
