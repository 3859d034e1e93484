"""The texts of the page: vocabulary, formatting, captions and advice."""
