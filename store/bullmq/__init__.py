"""The queue that several instances share: on Redis or Valkey, with BullMQ as its engine. Needs the extra ``cluster``.

Importing this package imports neither ``redis`` nor ``bullmq``; its modules do.
"""
