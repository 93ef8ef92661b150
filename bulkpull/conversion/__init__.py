"""
From the stored CSV to Parquet, without losing a character.

    decompress      the file as stored → its bytes, checked (gzip members, CRC, size)
    csv_index       a block of bytes → where its separators, line ends and quotes are
    syntax          the rules that header line and rows have to follow
    header_line     bytes → the header line, and its fields
    csv_validator   bytes → batches of whole rows, counted and checked without any help of the converter
    header          the file's first line × the columns asked for → which field is which column
    read_csv        a batch → columns of text, with exactly the rows and the content that were counted
    parquet_types   names of types, and which of them holds the values of which
    type_inference  a column of text → a narrower type, as long as every value comes back the same
    forms           how dates are written: the notation, and the way back to the text
    date_formats    the formats of dates and times that may be narrowed
    iso_dates       those of one width, read digit by digit
    column_metadata metadata of single columns of a Parquet file
    write_parquet   batches → one Parquet file, in bounded memory
    widen           a published Parquet file → the same with wider types
    prefetch        one stage of the pipeline in a thread of its own
    convert         the passes over the file that tie these together
    worker          the child process in which all of it runs

Only `messages` (the values), `parquet_types` and `worker` (the address of the child) may be imported by a running
export: the others bring polars and numpy, which the parent process must not pay for.
"""

CONVERSIONS_AT_ONCE = 2
"""Conversions at once: a third would add memory and, on two cores, no speed."""
