"""What ``/expeditor/*`` is, as data: the one source of the OpenAPI document and of docs/reference.md.

A route is an ``Operation`` in one of the ``..._operations`` modules; tests hold them to the route table, to the JSON that
``routes.render`` makes and to the pages. Nothing here is asked by a handler.
"""
