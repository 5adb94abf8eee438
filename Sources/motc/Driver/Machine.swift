import Foundation
import MoTIR

/// The processor's name, as the system tells it.
var machineName: String {
  let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
  guard let name = line?.split(separator: ":", maxSplits: 1).last else {
    return "unknown processor"
  }
  return name.trimmingCharacters(in: .whitespaces)
}

/// Checks that the machine has `count` bytes of memory: a system that promises more than it has ends
/// the process in the middle of a step.
///
/// - Throws: `CannotRun` if it has not.
func requireMemory(_ count: Int) throws {
  let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
  let words = line?.split(separator: " ") ?? []
  guard words.count >= 2, let kibibytes = Int(words[1]), count / 1024 > kibibytes else { return }
  throw CannotRun(
    Diagnostic(
      "the model needs \(bytes(count)) of memory, and this machine has \(bytes(kibibytes * 1024))",
      suggestion: "choose a smaller model, --batch, --sequence or --context"))
}
