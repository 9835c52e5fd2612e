"""A believable clinic to look at: made-up people and bookings, and a modality that sends images."""
