"""When and where: thin Prefect flows on the functions of offbeat; none yet."""
