"""The operators' view of pipelines: it shows, and calls pipeline.actions. It never writes state itself."""

from pipeline.admin.circuits import CircuitAdmin
from pipeline.admin.findings import FindingAdmin
from pipeline.admin.pipelines import PipelineAdmin

__all__ = ["CircuitAdmin", "FindingAdmin", "PipelineAdmin"]
