"""Stored objects on their way to other application entities: bytes and sockets, no database."""
