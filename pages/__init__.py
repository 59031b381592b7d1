"""What fills the pages: figures for README.md and docs/, and the page of `dvc plots`."""
