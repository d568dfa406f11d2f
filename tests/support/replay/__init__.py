"""Replays recorded commands of the real Docker against another daemon, with the real ``docker`` command."""
