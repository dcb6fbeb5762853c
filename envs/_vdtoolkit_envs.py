"""Marks this folder as vdtoolkit's own: in a source checkout it *is* vdtoolkit.envs.

vdtoolkit/__init__.py looks for this file before it puts its parent folder on its path, so that
a vendored copy of the package never mistakes a user's `envs/` for ours.
"""
