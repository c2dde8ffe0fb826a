"""Whether stored records are what they say: a submission checker for runs and verdicts.

It needs the records, claims/ and models.yaml; no model, runtime, clock or network. `judge` is a
pure function, so the check judges again and compares: that shows that a record follows from its
samples by the published rule. Whether the arithmetic itself is right is for the tests, which hold
it against scipy.

Not guaranteed: that the samples were measured. Who alters samples and every digest and figure that
follows from them makes another record that holds together; only repeating it tells.
"""
