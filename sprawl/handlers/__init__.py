"""One module per API family: check access, call one service, shape the answer. No state here.

Each family is a class that is given its services and lists its `routes()`. A handler gets a
`RequestContext` and the parsed request, and returns the response or something that can be awaited for it.
"""
