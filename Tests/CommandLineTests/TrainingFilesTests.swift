import Foundation
import Runtime
import Testing

// What others do to the files of a run while it reads them.
extension TrainingTests {
  @Test func oneProcessTrainsInAFolder() throws {
    let motc = try prepared()
    #expect(try motc.run(command("run")).status == 0)
    let run = RunFolder(path: motc.path("run"))
    // As another process would, for as long as this one lives.
    try run.lock()
    truncate("\(run.checkpoint(step: 6))/optimizer.safetensors", 1000)
    let result = try motc.run(command("run", ["--resume", "auto"]))
    #expect(result.status == 2 && result.errors.contains("another process trains"))
    // Nothing was read before.
    #expect(!result.errors.contains("damaged"), "\(result.errors)")
  }

  @Test func shardsThatGetShorterAreASentence() throws {
    let motc = try prepared()
    let arguments = command("run", steps: 1_000_000, ["--checkpoint-every", "1000"])
    var caught = false
    let result = try motc.run(arguments) { process in
      while process.isRunning, (try? motc.text("run/metrics.jsonl").isEmpty) ?? true {
        usleep(10_000)
      }
      // Most often the check before a read finds it, sometimes the read itself.
      let status = try String(
        contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
      let mask = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
      caught =
        (mask?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) } ?? 0)
        & (1 << (SIGBUS - 1)) != 0
      truncate(motc.path("shards/train-00000.safetensors"), 0)
    }
    #expect(caught, "SIGBUS has no handler")
    #expect(
      [1, 2].contains(result.status) && result.errors.contains("shorter"), "\(result.errors)")
    #expect(try RunFolder(path: motc.path("run")).newest()?.damaged.isEmpty == true)
  }
}
