"""Labels, recorded replies, metrics, arms on the same items, and the bake-off that compares them."""
