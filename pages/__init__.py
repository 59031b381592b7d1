"""What fills the pages: results for README.md and docs/, and the page of `dvc plots`."""
