"""The durable queue: the contract (base), the in-memory reference and SQLite. Rooms above see only the contract."""
