"""Values and the JSON text that stands for them."""
