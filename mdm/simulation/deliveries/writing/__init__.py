"""Files as offices send them. Every writer is given text columns and returns the row number of each row, counted as a
reader of that format counts: the header of a CSV file is row 1, a sheet's rows are its own, elements count from 1.
"""
