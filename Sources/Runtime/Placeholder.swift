import MoTIR
