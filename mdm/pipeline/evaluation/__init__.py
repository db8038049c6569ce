"""How good the linkage is: against the truth of a simulation, or by a sample of pairs that clerks judged."""

from mdm.pipeline.evaluation.against_truth import anchor_of, evaluate
from mdm.pipeline.evaluation.result import Evaluation

__all__ = ["Evaluation", "anchor_of", "evaluate"]
