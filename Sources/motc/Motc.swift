import ArgumentParser

/// The command line: one verb a subcommand, each in a file of its own.
struct Motc: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "motc",
    abstract: "Compiles Mixture-of-Transformers models.",
    discussion: """
      A SPEC is a model in Swift (.swift-spec) or IR text (.motir).

      Exit codes: 0 done, 1 the input is at fault, 2 motc could not run, 64 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [
      Compile.self, Opt.self, Init.self, Run.self, Inspect.self, Bench.self, Train.self,
      Plot.self, Match.self, Convert.self, Tokenize.self, BatchCommand.self, Generate.self,
      Evaluate.self, Doctor.self,
    ])
}
