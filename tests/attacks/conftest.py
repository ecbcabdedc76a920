"""Session engines for attacks on sessions and their tokens."""

from __future__ import annotations

from ..engine import (
    _rsa_keys as _rsa_keys,
)
from ..engine import (
    database as database,
)
from ..engine import (
    database_url as database_url,
)
from ..engine import (
    engine as engine,
)
from ..engine import (
    make_engine as make_engine,
)
from ..engine import (
    make_key as make_key,
)
from ..engine import (
    make_ring as make_ring,
)
from ..engine import (
    memory as memory,
)
from ..engine import (
    ring as ring,
)
