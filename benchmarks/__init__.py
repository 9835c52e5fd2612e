"""What `make bench` runs: this project and its peers side by side."""
