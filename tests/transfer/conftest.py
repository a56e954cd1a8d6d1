"""What the tests of transfer share with those of ship."""

from tests.ship.conftest import case, quick, shipped

__all__ = ["case", "quick", "shipped"]
