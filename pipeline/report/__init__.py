"""Tables and pictures for people: plots, the radar, contact sheets and the one-page report."""
