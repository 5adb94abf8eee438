import MoTIR

// What the evaluation of a spec can have wrong, beside what is wrong in the spec.

extension Diagnostic {
  /// A spec that goes on and on.
  static func specTimedOut(
    _ limit: Duration, ofCore: Bool = false, at place: Location
  ) -> Diagnostic {
    let time = "\(limit.components.seconds) seconds" + (ofCore ? " of a core's time" : "")
    return Diagnostic(
      "the spec did not finish within \(time) and was stopped", at: place,
      suggestion: "a spec only describes the model: look for an endless loop")
  }

  /// A spec that floods a descriptor.
  static func specWroteTooMuch(_ descriptor: Int32, _ limit: Int, at place: Location) -> Diagnostic
  {
    let name = [1: "stdout", 2: "stderr"][descriptor] ?? "descriptor \(descriptor)"
    return Diagnostic(
      "the spec wrote more than \(limit) bytes to \(name) and was stopped", at: place,
      suggestion: "print less")
  }

  /// A spec that ends with an error of its own.
  static func specExited(_ status: Int32, _ errors: String, at place: Location) -> Diagnostic {
    let line = errors.split(separator: "\n").first.map { ": \(SpecFile.shown($0))" } ?? ""
    return Diagnostic(
      "the spec ended with status \(status) before its model was read\(line)", at: place,
      suggestion: "a spec must run to its end: remove calls of exit")
  }

  /// A spec that ends before its end.
  static func specEndedEarly(at place: Location) -> Diagnostic {
    Diagnostic(
      "the spec ended before its model was read", at: place,
      suggestion: "a spec must run to its end: remove calls of exit")
  }

  /// A spec that writes where its model is handed back.
  static func specAnswersGarbage(at place: Location) -> Diagnostic {
    Diagnostic(
      "the spec disturbed the handing back of its model", at: place,
      suggestion: "descriptor 3 is motc's: leave it alone")
  }

  /// A spec that hands back IR text which is none.
  static func specAnswersNoModel(_ reason: String, at place: Location) -> Diagnostic {
    Diagnostic(
      "what the spec handed back is no model: \(reason)", at: place,
      suggestion: "if the spec does not write to descriptor 3 itself, please report this")
  }
}
