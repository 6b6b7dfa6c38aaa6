"""Small versions of the benchmarks, in their official download formats, made of real stamps and real recordings."""
