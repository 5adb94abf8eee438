import Foundation
import Synchronization

/// The wish of a person, or of the system, that the process end.
enum Interruption {
  /// The signal that came; 0 for none.
  private static let received = Atomic<Int32>(0)

  /// The exit code that the wish asks for, as shells have it; `nil` if there is none.
  static var exitCode: Int32? {
    let signal = received.load(ordering: .relaxed)
    return signal == 0 ? nil : 128 + signal
  }

  /// Notes Ctrl-C and SIGTERM from now on; the second ends the process at once.
  static func watch() {
    // Made now: a handler is no place for what makes it at its first use.
    _ = exitCode
    // A parent may have started this process with signals held back.
    var both = sigset_t()
    sigemptyset(&both)
    for number in [SIGINT, SIGTERM] {
      sigaddset(&both, number)
      signal(number) { number in
        let (isFirst, _) = Interruption.received.compareExchange(
          expected: 0, desired: number, ordering: .relaxed)
        if !isFirst { _exit(128 + number) }
      }
    }
    pthread_sigmask(SIG_UNBLOCK, &both, nil)
  }
}
