def show_usage(out,usage,now): print(usage.allocated)
