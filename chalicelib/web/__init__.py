"""Files that the API hands out, and what fills them in: knows nothing else of ours."""
