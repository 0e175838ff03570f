"""In the way of the package of this name: jsonschema, which each of Ray's processes loads, would spend half of their start on its grammar."""

raise ImportError("left out of the tests' Ray processes; jsonschema does without")
