"""
From the stored CSV to Parquet, without losing a character.

    inflate   the file as stored → its bytes, checked (gzip members, CRC, size)
    shape     bytes → batches of whole rows, counted and checked without any help of the converter
    header    the file's first line × the columns asked for → which field is which column
    narrow    a column of text → a narrower type, as long as every value comes back the same
    sink      batches → one Parquet file, in bounded memory
    convert   the passes over the file that tie these together
    worker    the child process in which all of it runs

Only `table` (the values) and `worker` (the address of the child) may be imported by a running export: the others
bring polars and numpy, which the parent process must not pay for.
"""
