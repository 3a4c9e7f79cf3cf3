"""How Holdfast is served: connections, bodies and answers between the network and Django's WSGI handler."""
