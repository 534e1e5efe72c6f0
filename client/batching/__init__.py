"""Many jobs at once: what they are (``items``), what has become of them (``record``), and getting them done (``runner``)."""
