"""The program on the devices: standard library only, Python 3.7 syntax, shipped as a single zip.

`loader` becomes the worker, `serving` answers the controller, `runner` carries out a plan in a detached process, and
`trial` is the measured process. A start must be cheap, since every connection starts a worker on a slow core. Values
are therefore plain slotted classes: the imports of dataclasses or typing alone cost more than the rest of a start.
Modules are imported at the place of use.
"""
