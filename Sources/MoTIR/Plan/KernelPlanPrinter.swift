// The canonical text of a kernel plan: docs/kernel-plan.md explains it.
//
// It holds everything that the emitted code follows from, so equal texts mean equal code: a kernel's
// whole shape, the region and offset of each argument, each barrier. Labels and costs are for people.

extension KernelPlan {
  /// The plan as text.
  public var text: String {
    let kernels = NamedKernels(self)
    var lines = headerLines + parameterLines + constantLines
    for (name, kernel) in kernels.all {
      lines += [""] + kernel.lines(name: name)
    }
    for entry in entries { lines += [""] + self.lines(of: entry, kernels) }
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Header

  private var headerLines: [String] {
    var lines = [
      "plan \(quoted(name))",
      "  tile \(tile.rows) rows x \(tile.vectors) vectors x \(tile.lanes) lanes, "
        + "operands \(operands.rawValue), backend \(backend.rawValue)",
    ]
    for region in Region.allCases where bytes(of: region) > 0 {
      lines.append("  region \(pad("\(region)", 14)) \(lead("\(bytes(of: region))", 12)) bytes")
    }
    return lines
  }

  private var parameterLines: [String] {
    guard !parameters.isEmpty else { return [] }
    return ["", "parameters"]
      + parameters.flatMap { placement in
        var places = ["master \(place(placement.master))"]
        if let forward = placement.forward { places.append("forward \(place(forward))") }
        if let backward = placement.backward { places.append("backward \(place(backward))") }
        let declaration = placement.declaration
        return [
          "  \(quoted(declaration.name)) : \(declaration.type)"
            + (declaration.decays ? " decay" : ""),
          "      \(places.joined(separator: "  "))",
        ]
      }
  }

  private var constantLines: [String] {
    guard !constants.isEmpty else { return [] }
    return ["", "constants"]
      + constants.map { placement in
        switch placement.table {
        case .rotary(let positions, let headWidth, let base):
          "  rotary positions \(positions) head_width \(headWidth) base \(base)  "
            + place(placement.buffer)
        }
      }
  }

  /// Returns where buffer `id` is.
  private func place(_ id: BufferID) -> String {
    guard buffers.indices.contains(id.index) else { return "nowhere" }
    return "\(self[id].region)+\(self[id].offset)"
  }

  // MARK: Entries

  private func lines(of entry: Entry, _ kernels: NamedKernels) -> [String] {
    var lines = ["entry \(quoted(entry.name))"]
    lines += entry.inputs.map { "  in  \(bindingText($0))" }
    for (number, call) in entry.calls.enumerated() {
      lines.append(headLine(of: call, number: number, kernels))
      lines += argumentLines(of: call)
    }
    lines += entry.outputs.map { "  out \(bindingText($0))" }
    return lines + [totalLine(of: entry)]
  }

  private func bindingText(_ binding: Binding) -> String {
    "\(quoted(binding.name)) : \(binding.type) at \(place(binding.buffer))"
  }

  /// A `|` marks a call before which all threads wait for each other.
  private func headLine(of call: KernelCall, number: Int, _ kernels: NamedKernels) -> String {
    let intensity = call.flops > 0 ? "  \(fixed(call.flops / max(1, call.bytes))) FLOP/byte" : ""
    let flops = call.flops > 0 ? "  \(quantity(call.flops, "FLOP"))" : ""
    return "\(lead("\(number)", 5)) \(call.waits ? "|" : " ") \(pad(kernels[call.kernel], 30))"
      + " \(quantity(call.bytes, "B"))\(flops)\(intensity)"
  }

  private func argumentLines(of call: KernelCall) -> [String] {
    let parameters = call.kernel.parameters(in: self, numbers: call.numbers)
    return call.arguments.enumerated().map { index, argument in
      let name = index < parameters.count ? parameters[index].name : "?"
      switch argument {
      case .integer(let number): return "          \(pad(name, 10)) \(number)"
      case .buffer(let id, let access):
        let size =
          buffers.indices.contains(id.index)
          ? "\(lead("\(self[id].bytes)", 9)) bytes  \(quoted(self[id].label))" : ""
        return "          \(pad(name, 10)) \(pad(access.rawValue, 6)) \(pad(place(id), 20)) \(size)"
      }
    }
  }

  private func totalLine(of entry: Entry) -> String {
    let flops = entry.calls.reduce(0) { $0 + $1.flops }
    let bytes = entry.calls.reduce(0) { $0 + $1.bytes }
    let barriers = entry.calls.count { $0.waits }
    let syncs = entry.calls.count { $0.kernel == .sync }
    return "  total \(entry.calls.count) calls, \(barriers) barriers, \(syncs) syncs, "
      + "\(quantity(flops, "FLOP")), \(quantity(bytes, "B")), "
      + "\(fixed(flops / max(1, bytes))) FLOP/byte"
  }
}

// MARK: Names

/// The distinct kernels of a plan in order of first use, each with the name that it is printed under.
private struct NamedKernels {
  private(set) var all: [(name: String, kernel: Kernel)] = []
  private var names: [Kernel: String] = [:]

  init(_ plan: KernelPlan) {
    var counts: [String: Int] = [:]
    for call in plan.entries.lazy.flatMap(\.calls) where names[call.kernel] == nil {
      let count = counts[call.kernel.name, default: 0] + 1
      counts[call.kernel.name] = count
      let name = call.kernel.name + (count > 1 ? ".\(count)" : "")
      names[call.kernel] = name
      all.append((name, call.kernel))
    }
  }

  subscript(kernel: Kernel) -> String { names[kernel] ?? kernel.name }
}

// MARK: Columns and numbers

/// Returns `text` with spaces behind it, up to `width` characters.
private func pad(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}

/// Returns `text` with spaces before it, up to `width` characters.
private func lead(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}

/// Returns `number` with one digit behind the point.
private func fixed(_ number: Double) -> String {
  "\((number * 10).rounded() / 10)"
}

/// Returns `number` as so many thousands, millions or more of `unit`.
private func quantity(_ number: Double, _ unit: String) -> String {
  let steps: [(Double, String)] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
  guard let (size, prefix) = steps.first(where: { number >= $0.0 }) else {
    return "\(fixed(number)) \(unit)"
  }
  return "\(fixed(number / size)) \(prefix)\(unit)"
}
