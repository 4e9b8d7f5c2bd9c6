"""A stage in a real account: looked at, planned, brought to what is wanted, verified; and taken away.

Every step is level-triggered, as the product itself is: it looks at what there is and acts on the difference, so that a
run which was killed is continued by the next one, from whatever checkout.
"""
