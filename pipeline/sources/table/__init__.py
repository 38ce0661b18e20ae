"""Pictures and labels of anybody: a table that names the picture of each row."""
