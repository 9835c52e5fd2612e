"""What devices did here, in words: the parts of the page *Devices*."""
