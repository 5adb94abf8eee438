import MoTIR
import Runtime
import Testing

@Suite struct TrainingSettingsTests {
  @Test func optionsStandOverTheFileOverDefaults() throws {
    let folder = try TemporaryFolder()
    let text = "# a comment\nsteps: 40\nlearning_rate: 2e-3\nschedule: constant\n"
    let path = try folder.write(Array(text.utf8), to: "c.yaml")
    let settings = try TrainingSettings(path: path, overrides: ["steps": "50"])
    #expect(settings.steps == 50 && settings.learningRate == 2e-3 && settings.schedule == .constant)
    #expect(settings.beta2 == TrainingSettings().beta2)
    // What is written is read again.
    let written = try folder.write(Array(settings.yaml.utf8), to: "d.yaml")
    #expect(try TrainingSettings(path: written) == settings)
    let empty = try folder.write([], to: "e.yaml")
    #expect(try TrainingSettings(path: empty) == TrainingSettings())
  }

  @Test(arguments: [
    ("stepps: 3", "did you mean `steps`"), ("steps: [1]", "one value"), ("steps: 0", "at least 1"),
    ("steps: 1.5", "integer"), ("steps: 99999999999999999999", "integer"),
    ("learning_rate: nan", "number"),
    ("learning_rate: -1", "at least 0"),
    ("epsilon: 0", "at least 1e-30"), ("beta1: 1", "below 1"),
    ("beta1: 0.99999999", "below 1"), ("final_fraction: 1.1", "at most 1"),
    ("schedule: linear", "cosine or constant"), ("- 1", "KEY: VALUE"), ("a: *b", "no anchors"),
    ("a: &b 1", "no anchors"), ("a: \"b", "no YAML"),
    ("steps: 1\nsteps: 2", "no YAML"), ("? [x]\n: 1", "no setting"),
  ])
  func badFilesAreErrors(text: String, message: String) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Array(text.utf8), to: "c.yaml")
    do {
      _ = try TrainingSettings(path: path)
      Issue.record("\(text) was taken")
    } catch {
      #expect(error.description.contains(message), "\(error)")
    }
  }

  @Test func ratesRiseAndFall() {
    var settings = TrainingSettings()
    (settings.steps, settings.warmup, settings.learningRate, settings.finalFraction) = (
      110, 10, 1, 0.1
    )
    #expect(settings.rate(step: 1) == 0.1)
    #expect(settings.rate(step: 10) == 1)
    #expect(abs(settings.rate(step: 60) - 0.55) < 1e-12)
    #expect(abs(settings.rate(step: 110) - 0.1) < 1e-12)
    settings.schedule = .constant
    #expect(settings.rate(step: 110) == 1)
    settings.warmup = 0
    #expect(settings.rate(step: 1) == 1)
  }
}
