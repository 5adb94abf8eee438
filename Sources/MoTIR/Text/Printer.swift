// The canonical text of a module, in the grammar of docs/ir.md.
//
// `Module.parse(m.text).text == m.text` for every verified module. `Module.parse(m.text) == m` for
// every module in canonical form:
// - each graph has one parameter node for each parameter that it reads, right before the first node
//   that reads it (in the order of that node's operands), without location and cluster;
// - no other parameter nodes.
// A parameter has no line of its own: it is written `@name` where it is read. The other values are
// `%0`, `%1`, … in the order of their definitions. Attributes with default values are left out.

extension Module {
  /// The module as IR text.
  public var text: String { text(locations: true) }

  /// Returns the module as IR text, with or without the places in the user's file.
  package func text(locations: Bool) -> String {
    let slots = context.map { " context \($0)" } ?? ""
    var text = "module \(symbol(name)) batch \(batch) sequence \(sequence)\(slots) {\n"
    for modality in modalities { text += "  \(modality.text)\n" }
    for parameter in parameters { text += "  \(parameter.text)\n" }
    for objective in objectives { text += "  \(objective.text)\n" }
    for function in functions { text += function.text(indent: "  ", locations) }
    return text + "}\n"
  }
}

extension Function {
  /// The function as IR text.
  public var text: String { text(indent: "", true) }

  fileprivate func text(indent: String, _ locations: Bool) -> String {
    "\(indent)func \(symbol(name)) {\n\(graph.text(indent: indent + "  ", locations))\(indent)}\n"
  }
}

extension Graph {
  /// The graph as the lines of a function's body.
  public var text: String { text(indent: "", true) }

  fileprivate func text(indent: String, _ locations: Bool) -> String {
    let names = valueNames()
    var text = ""
    for node in nodes {
      if case .parameter = node.op { continue }
      text += "\(indent)\(line(of: node, names, locations))\n"
    }
    return text + returnText(names, indent)
  }

  /// Returns the operand text of every value.
  private func valueNames() -> [String] {
    var next = 0
    return values.map { value in
      if case .parameter(let name) = self[value.definition].op { return symbol(name) }
      next += 1
      return "%\(next - 1)"
    }
  }

  private func line(of node: Node, _ names: [String], _ locations: Bool) -> String {
    let syntax = node.op.syntax
    let operands = node.operands.map { names[$0.index] }
    let labelled = min(syntax.labels.count, operands.count)
    var parts = [node.op.mnemonic]
    if let literal = syntax.literal { parts.append(literal.text) }
    if labelled < operands.count {
      parts.append(operands.dropLast(labelled).joined(separator: ", "))
    }
    for (label, operand) in zip(syntax.labels, operands.suffix(labelled)) {
      parts.append("\(label) \(operand)")
    }
    parts += syntax.attributes.map(\.text)
    parts.append(": \(node.results.map { type(of: $0).description }.joined(separator: ", "))")
    if let cluster = node.cluster { parts.append("in #\(cluster)") }
    if locations, let location = node.location {
      parts.append("at \(quoted(location.file)):\(location.line):\(location.column)")
    }
    let results = node.results.map { names[$0.index] }.joined(separator: ", ")
    return "\(results) = \(parts.joined(separator: " "))"
  }

  /// Returns the last statement: up to three outputs on one line, more on a line each.
  private func returnText(_ names: [String], _ indent: String) -> String {
    let results = outputs.map { output in
      let index = output.value.index
      return "\(index < names.count ? names[index] : "%none") as \(quoted(output.name))"
    }
    if results.isEmpty { return "\(indent)return\n" }
    if results.count <= 3 { return "\(indent)return \(results.joined(separator: ", "))\n" }
    return "\(indent)return\n\(indent)  \(results.joined(separator: ",\n\(indent)  "))\n"
  }
}

extension ModalityDeclaration {
  /// The declaration as IR text.
  fileprivate var text: String {
    "modality \(quoted(name)) \(latents.map { "latents \($0)" } ?? rangeText(vocabulary))"
      + (begin.map { " begin \($0)" } ?? "") + (end.map { " end \($0)" } ?? "")
      + (attends == .causal ? "" : " attends_\(attends.rawValue)")
      + (counts == .each ? "" : " counts_\(counts.rawValue)")
  }
}

extension ParameterDeclaration {
  /// The declaration as IR text: the shape is that of one group.
  fileprivate var text: String {
    let by = groups.map { groups in
      " by \(groups.map { $0.map { quoted($0) }.joined(separator: " + ") }.joined(separator: ", "))"
    }
    return "parameter \(symbol(name)) : \(ValueType.tensor(.f32, shape))\(by ?? "")"
      + (experts.map { " experts \($0)" } ?? "")
      + " component \(quoted(component)) init \(initialization.text)" + (decays ? " decay" : "")
      + (isFrozen ? " frozen" : "")
  }
}

extension Initialization {
  /// The initialisation as IR text.
  fileprivate var text: String {
    switch self {
    case .normal(let deviation): "normal(\(deviation.description))"
    case .ones: "ones"
    case .zeros: "zeros"
    }
  }
}

extension ObjectiveDeclaration {
  /// The declaration as IR text.
  fileprivate var text: String {
    let names = modalities.map { quoted($0) }.joined(separator: ", ")
    let denoises = denoising.map {
      " denoise \($0.prediction.rawValue) schedule \($0.schedule.rawValue)"
    }
    return "objective \(quoted(name)) on \(names) weight \(weight.description)\(denoises ?? "")"
  }
}

/// Returns `@name`, with quotes where the name has characters that need them.
private func symbol(_ name: String) -> String {
  !name.isEmpty && name.utf8.allSatisfy(\.continuesName) ? "@\(name)" : "@\(quoted(name))"
}
