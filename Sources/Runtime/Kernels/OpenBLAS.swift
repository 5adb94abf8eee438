internal import COpenBLAS
internal import Glibc

/// The OpenBLAS library that computes matrix products in the unfused mode.
package enum OpenBLAS {
  /// The variables that make OpenBLAS choose kernels other than the machine's own. It reads them when
  /// it is loaded, so a process that changes them has to start anew.
  package static let overrides = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]

  /// The CPU whose kernels are in use, such as `SkylakeX`.
  package static var core: String { String(cString: openblas_get_corename()) }

  /// Version and build options.
  package static var configuration: String { String(cString: openblas_get_config()) }

  /// The variables of `overrides` that are set, with their values.
  package static var overridden: [(name: String, value: String)] {
    overrides.compactMap { name in
      getenv(name).map { (name, String(cString: $0)) }
    }
  }

  /// Starts this program anew with the same arguments and without `overrides`.
  ///
  /// Returns only if that fails.
  package static func restartWithoutOverrides() {
    for name in overrides { unsetenv(name) }
    let arguments = CommandLine.arguments.map { strdup($0) }
    _ = execv("/proc/self/exe", arguments + [nil])
    for argument in arguments { free(argument) }
  }
}
