"""What a network has to beat: predictors without a network, fitted and measured on the network's galaxies.

A baseline is a :class:`~galaxycnn.baselines.method.Method`: what it looks at in a cutout, and a scikit-learn regressor
from that to vote fractions. One is added by one file in this package that registers it.
"""

from galaxycnn.baselines.fitting import Fitted, fit, measure
from galaxycnn.baselines.method import Method
from galaxycnn.baselines.table import baselines_table

__all__ = ["Fitted", "Method", "baselines_table", "fit", "measure"]
