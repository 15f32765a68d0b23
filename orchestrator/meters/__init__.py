"""Plugs, PDUs and lab meters that this side reads or switches."""
