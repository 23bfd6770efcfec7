from tests.evaluate.conftest import tables_by_hand, world

__all__ = ["tables_by_hand", "world"]
