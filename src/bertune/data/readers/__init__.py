"""Owns the data formats, a file each: it exports SUFFIXES and read(path, options) -> Iterator[Row].

Where several formats share an ending, recognises(path, options) says by the content whether a file is of this
one; the reader without it takes the rest.
"""
