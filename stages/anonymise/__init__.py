"""Make people unrecognisable who did not agree to be in a training set."""
