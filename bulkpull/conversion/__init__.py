"""
Converts the stored CSV to Parquet without losing a character.

    decompress      the stored file → its bytes, checked (gzip members, CRC, size)
    csv_index       a block of bytes → the positions of separators, line ends and quotes
    csv_validator   bytes → batches of whole rows, counted and checked independently of the CSV reader
    header          bytes → the header line, and which of its fields is which requested column
    window_filter   text columns → the rows of the report's window
    parquet_types   type names, and which type can hold the values of which
    type_inference  a text column → a narrower type, if every value can be written back unchanged
    date_formats    the date and time formats that are recognised, and moments of any of them
    output_formats  the table of formats, and what a format has to do
    parquet_files   the Parquet format, with metadata of single columns
    write_table     batches → one file, in bounded memory; a published file → the same with wider types
    read_table      a published file → its row count and its lineage
    convert_file    the passes over the file that connect these stages, and the CSV reader, whose result is counted
    worker          the child process that runs all of it

A running export may import only `messages` (the values), `output_formats`, `parquet_types` and `worker` (the module
that the child runs): the others import polars and numpy, which the parent process must not load.
"""

CONVERSIONS_AT_ONCE = 2
"""Conversions at once: a third would add memory and, on two cores, no speed."""
