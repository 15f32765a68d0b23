"""Take the devices of a run to their ends. A driver serves a single run, and alone writes the rows of the run.

To read the package, begin with docs/driving.md, drawn from the rules. Then read in this order:

1. `stages/part.py`, `stages/events.py`, `stages/orders.py`: the state of a device, the news, and the decisions.
2. `driver.py`: the loop. A report becomes an event, `advance` decides, and a handler carries each order out.
3. `stages/requesting.py`, `following.py`, `helping.py`: the rules, which share `endings.py` and `recovery.py`.
4. `sessions.py`, `records.py`, `plans.py`: the handlers of orders.
5. `leases.py`: the right to a device, kept by `renewals.py`. `lease_answers.py` makes events of the database's words.

The rest is small and can wait: `inbox` gathers reports, `backlog` holds back long records, `roster` holds parts and
sessions, `witnesses` judges the network, `fitness` judges a device, `identity` names the controller, `tools` names
the dependencies, `table` draws the document.
"""
