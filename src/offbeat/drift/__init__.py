"""How later readings differ from those that a model was made from, and what that asks for."""
