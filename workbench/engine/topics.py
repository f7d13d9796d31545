"""The structures that subscriptions are kept in, to be filled and measured; sockets have their own."""

from workbench._engine import TopicIndex

__all__ = ["TopicIndex"]
