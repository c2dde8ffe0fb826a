"""Evidence put into a comparison page that somebody else wrote.

A page is spliced, never written anew: what is not ours stays byte for byte as it was. What an
earlier attachment put in is taken out first, so attaching again replaces and never doubles.
"""
