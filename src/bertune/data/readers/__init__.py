"""One module per data format. It exports SUFFIXES and read(path, options) -> Iterator[Row].

If several formats share a suffix, recognises(path, options) checks by the content whether a file has this
format. The reader without `recognises` reads the other files.
"""
