"""How the tables came to be, one revision a file; `HEAD` is the newest (a test holds that)."""

HEAD = "0001"
