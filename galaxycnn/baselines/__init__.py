"""What a network has to beat: predictors without a network, fitted and measured on the network's galaxies.

A baseline is a :class:`~galaxycnn.baselines.method.Method`: what it looks at in a cutout, and scikit-learn estimators
from that to vote fractions, to classes and to a quantity such as the redshift, or to some of these. One is added by one
file in this package that registers it.
"""

from galaxycnn.baselines.fitting import Fitted, fit, measure
from galaxycnn.baselines.method import Method
from galaxycnn.baselines.table import baselines_tables

__all__ = ["Fitted", "Method", "baselines_tables", "fit", "measure"]
