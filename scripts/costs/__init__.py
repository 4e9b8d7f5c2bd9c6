"""What a month of the control plane costs: counted in a stage of virtual time, at list prices."""
