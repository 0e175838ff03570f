"""The documentation site: the labs as pages, links that hold in the repository and on the site, and a check of what was built."""
