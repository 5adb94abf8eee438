import Foundation

/// The processor's name, as the system tells it.
var machineName: String {
  let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
  guard let name = line?.split(separator: ":", maxSplits: 1).last else {
    return "unknown processor"
  }
  return name.trimmingCharacters(in: .whitespaces)
}
