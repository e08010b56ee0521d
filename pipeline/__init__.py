"""A small engine for one submission that must have several effects in other people's systems: all or none.

An author imports from `pipeline.workflow` (Workflow, Step, Run and the outcomes); see docs/writing-a-step.md.
"""
