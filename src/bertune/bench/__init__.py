"""What speed is measured with: jobs, contestants in fresh processes, paired ratios, the physical floor."""
