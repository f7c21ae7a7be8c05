"""The parts of the gradient checker; `minigan/autograd/check.py` puts them together.

subject.py       what is checked: a function of named values, in any precision
numerical.py     derivatives by numbers: complex step, long double, float64
comparison.py    is J^T g what the numbers say?
invariants.py    what must hold besides: nothing mutated, any layout, float32, linear in g
disagreement.py  what a failure says: where, how much, what pattern; and its picture
"""
