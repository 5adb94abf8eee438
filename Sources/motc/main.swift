print("motc")
