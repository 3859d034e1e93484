"""The page's vocabulary, formatting, captions and advice."""
