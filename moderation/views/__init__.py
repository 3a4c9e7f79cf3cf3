"""What people see and press in casework."""
