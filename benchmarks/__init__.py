"""What vdtoolkit costs, beside the floor and beside its peers; see README.md here."""
