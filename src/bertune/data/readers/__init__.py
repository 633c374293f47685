"""Owns the data formats, a file each: it exports SUFFIXES and read(path, options) -> Iterator[Row]."""
