"""``managed-credentials demo``: what happens to programs that run while their key is replaced.

``scenarios`` says what is shown, and what is said of it. ``stage`` plays the scenarios, and ``tally`` counts the calls.
``screen`` shows the results as text, and ``picture`` as an SVG.
"""
