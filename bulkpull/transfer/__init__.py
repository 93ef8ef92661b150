"""
A stored file, from the storage host to the disk: whole, of one version, and never much of it twice.

In reading order:

| module       | its one idea                                                                     |
|--------------|----------------------------------------------------------------------------------|
| stretches.py | stretches of bytes, and what is missing between them                      (pure) |
| sharing.py   | who fetches what: one front stream, and helpers that take pieces off the end (pure) |
| width.py     | how many streams at once: more while it helps, fewer when the host is busy (pure) |
| version.py   | what tells one version of a stored file from another                      (pure) |
| replies.py   | is this reply what was asked for, and if not, what does it mean?          (pure) |
| journal.py   | which bytes a later process may believe                                          |
| partial.py   | the bytes on disk: large writes, checksums, durability                           |
| room.py      | is there room for it on the disk?                                                |
| links.py     | the secure link as it is now, and its renewal                                    |
| pour.py      | one reply's bytes, from the socket to the partial file                           |
| transfer.py  | all of it together: requests, breaks, restarts                                   |
"""
