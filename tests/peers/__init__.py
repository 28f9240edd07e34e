"""Networks of this project in other frameworks, to measure beside them; needed by benchmarks alone."""
