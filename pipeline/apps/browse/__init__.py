"""The dataset in a browser: a wall of crops, what is known of each, and corrections of its labels.

`samples` holds the rows as they came and as corrected, `evidence` what a network thinks of them,
`query` chooses and sorts, `sprites` draws thumbnails, `told` puts all of it into JSON, `decisions`
writes corrections, and `server` answers the page, whose files lie in `pipeline/apps/wall`.
"""
