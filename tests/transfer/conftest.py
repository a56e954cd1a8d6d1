"""What the tests of transfer share with those of ship."""

from tests.ship.conftest import quick

__all__ = ["quick"]
