"""Labels that may be wrong: how suspicious each is, and how many of an attribute are."""
