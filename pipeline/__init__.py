"""The library: faces and labels in, crops, shards, a network, metrics and a phone's file out.

Pure functions and small classes. Nothing here knows a command line, DVC or a fixed path;
the commands live in `stages/`, which imports this package and is never imported by it.
"""
