"""Skills: signed, addressed by content and voted on. Their features are not built yet."""
