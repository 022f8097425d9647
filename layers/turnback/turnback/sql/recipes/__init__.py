"""Recipes: the safe sequence of migrations for a change that would block, break or fail as one."""
