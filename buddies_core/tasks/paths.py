"""Names of agents that mean the same on every machine, as they stand in a task's path."""

from buddies_core.model.ids import EndpointId


def agent_path(endpoint: EndpointId, agent: str) -> str:
    """Return the name of this agent at this node."""
    return f"{endpoint.hex()}/{agent}"
