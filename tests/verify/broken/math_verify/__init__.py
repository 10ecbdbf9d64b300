raise ImportError("No module named math_verify")
