"""
Downloads a stored file to the disk: complete, from one version, and with little fetched twice.

In reading order:

| module                  | content                                                                    |
|-------------------------|----------------------------------------------------------------------------|
| byte_ranges.py          | byte ranges, which stream fetches which, what is progress           (pure) |
| adaptive_concurrency.py | the number of parallel streams                                      (pure) |
| range_responses.py      | the storage host's replies: version, range, errors for failures     (pure) |
| journal.py              | which bytes of a partial file a later process can trust                    |
| partial_file.py         | the partial file: large writes, checksums, durability                      |
| signed_link.py          | the current signed link, and its renewal                                   |
| stream_to_file.py       | writes the bytes of one reply to the partial file                          |
| transfer.py             | the whole transfer: requests, breaks, restarts                             |
"""
