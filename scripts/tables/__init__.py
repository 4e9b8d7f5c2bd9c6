"""All that a stage has stored, as lines of JSON: written out, checked as a whole, and put back."""
