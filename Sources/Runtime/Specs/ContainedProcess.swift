import Foundation
import Glibc
import MoTIR

/// What a contained process may use.
package struct SpecLimits: Sendable {
  /// Time of a core, in whole seconds.
  package var processor: Duration
  /// Time from start to end: longer, since a busy machine may give a core to others for most of it.
  package var wall: Duration
  /// Address space in bytes.
  package var memory: Int
  /// Bytes on each of stdout and stderr.
  package var output: Int
  /// Bytes of the answer.
  package var answer: Int

  /// Creates limits.
  package init(
    processor: Duration = .seconds(10), wall: Duration = .seconds(60), memory: Int = 2 << 30,
    output: Int = 1 << 20, answer: Int = 64 << 20
  ) {
    self.processor = processor
    self.wall = wall
    self.memory = memory
    self.output = output
    self.answer = answer
  }
}

/// A finished process that ran in a process group of its own, under limits of time and output.
///
/// Its descriptors are 0 (a file), 1, 2 and 3 (the answer) and no others.
struct ContainedProcess {
  /// How a process ended.
  enum Ending: Hashable {
    /// With this status; a signal number behind a shell or sandbox is 128 + that.
    case exited(Int32)
    /// By this signal.
    case signalled(Int32)
    /// Killed at the end of its time.
    case timedOut
    /// Killed because it wrote too much to this descriptor.
    case wroteTooMuch(Int32)
  }

  /// How it ended.
  private(set) var ending = Ending.timedOut
  /// What it wrote to stdout, stderr and descriptor 3.
  private(set) var written: [[UInt8]] = [[], [], []]

  /// Runs `arguments` with `input` as stdin, and waits for its end.
  ///
  /// - Throws: `Diagnostic` if it cannot be started.
  init(
    _ arguments: [String], environment: [String], input: Int32, limits: SpecLimits
  ) throws(Diagnostic) {
    let pipes = try Self.makePipes()
    defer { for pipe in pipes { close(pipe.read) } }
    let child: pid_t
    do {
      defer { for pipe in pipes { close(pipe.write) } }
      child = try Self.spawn(
        arguments, environment: environment, descriptors: [input] + pipes.map(\.write))
    }
    follow(child, pipes.map(\.read), limits)
  }

  // MARK: Start

  /// The two ends of a pipe.
  private typealias PipeEnds = (read: Int32, write: Int32)

  /// Returns three pipes whose descriptors are above those that the child gets.
  private static func makePipes() throws(Diagnostic) -> [PipeEnds] {
    var pipes: [PipeEnds] = []
    for _ in 0..<3 {
      var ends: [Int32] = [-1, -1]
      guard pipe(&ends) == 0 else { throw .cannotRun("pipe", errno) }
      let raised = ends.map { end in
        defer { close(end) }
        return fcntl(end, F_DUPFD_CLOEXEC, 10)
      }
      guard raised.allSatisfy({ $0 >= 0 }) else { throw .cannotRun("pipe", errno) }
      _ = fcntl(raised[0], F_SETFL, O_NONBLOCK)
      pipes.append((raised[0], raised[1]))
    }
    return pipes
  }

  /// Starts `arguments` in a process group of its own, with `descriptors` as 0, 1, 2, …
  private static func spawn(
    _ arguments: [String], environment: [String], descriptors: [Int32]
  ) throws(Diagnostic) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, source) in descriptors.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, source, Int32(target))
    }
    for other in inherited() where other >= descriptors.count {
      posix_spawn_file_actions_addclose(&actions, other)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGMASK))
    var argv = arguments.map { strdup($0) } + [nil]
    var envp = environment.map { strdup($0) } + [nil]
    defer { for string in argv + envp { free(string) } }
    var child: pid_t = 0
    let error = posix_spawn(&child, arguments[0], &actions, &attributes, &argv, &envp)
    guard error == 0 else { throw .cannotRun(arguments[0], error) }
    return child
  }

  /// Returns the open descriptors that a child would get.
  private static func inherited() -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.compactMap { Int32($0) }.filter { descriptor in
      let flags = fcntl(descriptor, F_GETFD)
      return flags >= 0 && flags & FD_CLOEXEC == 0
    }
  }

  // MARK: Wait

  /// Reads what the child writes until it ends or breaks a limit; then nothing of it is left.
  private mutating func follow(_ child: pid_t, _ pipes: [Int32], _ limits: SpecLimits) {
    let deadline = ContinuousClock.now + limits.wall
    var open = pipes.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var excess: Int32?
    while ContinuousClock.now < deadline, excess == nil {
      // With all pipes closed this is a short sleep.
      poll(&open, nfds_t(open.count), open.allSatisfy { $0.fd < 0 } ? 1 : 10)
      excess = drain(&open, limits)
      var status: Int32 = 0
      if waitpid(child, &status, WNOHANG) == child {
        kill(-child, SIGKILL)
        ending = Self.ending(of: status)
        if let excess = drain(&open, limits) { ending = .wroteTooMuch(excess) }
        return
      }
    }
    kill(-child, SIGKILL)
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    ending = excess.map { .wroteTooMuch($0) } ?? .timedOut
  }

  /// Reads what is there; a descriptor that has ended is replaced by -1.
  ///
  /// - Returns: the number of the descriptor, as the child has it, that went beyond its limit.
  private mutating func drain(_ open: inout [pollfd], _ limits: SpecLimits) -> Int32? {
    let size = 1 << 16
    for index in open.indices where open[index].fd >= 0 {
      while true {
        var count = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
          count = read(open[index].fd, buffer.baseAddress, size)
          initialized = max(0, count)
        }
        if count == 0 { open[index].fd = -1 }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        written[index] += chunk
        if written[index].count > (index == 2 ? limits.answer : limits.output) {
          return Int32(index + 1)
        }
      }
    }
    return nil
  }

  /// Returns the ending that `status` of `waitpid` tells.
  private static func ending(of status: Int32) -> Ending {
    let signal = status & 0x7f
    return signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
  }
}

extension Diagnostic {
  /// A process that could not be started.
  fileprivate static func cannotRun(_ what: String, _ error: Int32) -> Diagnostic {
    Diagnostic("cannot run \(what): \(String(cString: strerror(error)))")
  }
}
