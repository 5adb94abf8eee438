import Runtime

/// Makes sure that OpenBLAS uses the kernels that it has for this machine: variables that force others
/// are named on stderr, and the process starts anew without them.
func useOwnOpenBLASKernels() {
  let forced = OpenBLAS.overridden
  guard !forced.isEmpty else { return }
  let list = forced.map { "\($0.name)=\($0.value)" }.joined(separator: ", ")
  say("motc: \(list) would force other OpenBLAS kernels than this machine's; starting without it")
  OpenBLAS.restartWithoutOverrides()
  say("motc: could not start again, so OpenBLAS runs its \(OpenBLAS.core) kernels")
}
