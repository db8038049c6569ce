"""What clerks and machines do to names, dates and numbers."""
