"""One record that arrives now: standardised, stored, matched and made part of a person, in one transaction; or only looked for."""
