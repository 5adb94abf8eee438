// The report of `motc inspect --compare` for people.
extension Comparison {
  /// The report as text: a column a model, and its difference and ratio to the first.
  var text: String {
    let header = [""] + labels.enumerated().flatMap { $0 == 0 ? [$1] : [$1, "", ""] }
    var lines = [header]
    for (index, row) in rows.enumerated() {
      let last = index == 0 ? nil : rows[index - 1]
      if last?.quantity != row.quantity || last?.modality != row.modality {
        lines.append(contentsOf: (last == nil ? [] : [[]]) + [[title(of: row)]])
      }
      lines.append(["  \(row.part)"] + cells(of: row))
    }
    return table(lines, right: Set(1..<max(2, header.count)), indent: "")
  }

  /// What the models are called, for people: by their names, or by number where these are equal.
  var labels: [String] {
    let names = models.map(\.name)
    return names.enumerated().map { index, name in
      names.count { $0 == name } == 1 ? name : "\(index + 1): \(name)"
    }
  }

  private func title(of row: Row) -> String {
    let token = row.modality.map { "a token of \($0)" } ?? "a token"
    return switch row.quantity {
    case .parameters: "Parameters"
    case .activeParameters: "Parameters that \(token) uses"
    case .flopsPerToken: "Forward arithmetic for \(token)"
    case .trainingBytes: "Memory of a training step"
    case .inferenceBytes: "Memory of inference"
    case .cacheBytesPerToken: "Keys and values of a token"
    }
  }

  private func cells(of row: Row) -> [String] {
    row.values.indices.flatMap { index in
      let value = row.values[index].map { row.quantity.text($0) } ?? "-"
      guard index > 0 else { return [value] }
      let difference = row.differences[index].map { difference in
        (difference > 0 ? "+" : "") + row.quantity.text(difference)
      }
      return [value, difference ?? "-", row.ratios[index].map(times) ?? "-"]
    }
  }
}

extension Comparison.Quantity {
  /// Returns `value` for a person.
  func text(_ value: Double) -> String {
    switch self {
    case .parameters, .activeParameters: grouped(Int(value))
    case .flopsPerToken: operations(value)
    case .trainingBytes, .inferenceBytes, .cacheBytesPerToken: bytes(Int(value))
    }
  }
}
