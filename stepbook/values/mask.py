"""What stands in the place of a secret, and what is raised where nothing can.

Apart from :mod:`.redact`, which only a book that masks something needs: it takes 30 ms to load.
"""

from __future__ import annotations

from typing import Final

from ..errors import NotSerializableError

#: What stands in the place of a secret, everywhere.
MASK: Final = "[redacted]"


class SecretError(NotSerializableError):
    """What holds a secret cannot be stored without it."""
