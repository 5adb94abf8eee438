internal import MoTIR

extension PlanBuilder {
  /// Plans `pack`: every packed form from the master copies, after loading.
  mutating func planPack() {
    let calls = plan.parameters.flatMap { packCalls(of: $0) }
    finish(Entry(name: "pack", calls: calls, inputs: [], outputs: []))
  }

  /// Plans `accumulate`: gradients are added to those of batches before.
  mutating func planAccumulate() {
    let region = plan.bytes(of: .gradients)
    let arrays = [Region.gradients, .accumulated].map {
      alias($0, offset: 0, bytes: region, label: "\($0)")
    }
    let call = KernelCall(
      kernel: .accumulate,
      arguments: [
        .buffer(arrays[0], .read), .buffer(arrays[1], .update), .integer(region / 4),
      ], flops: 0, bytes: 3 * Double(region), nodes: [])
    finish(Entry(name: "accumulate", calls: [call], inputs: [], outputs: []))
  }

  /// Plans `update`: finite check, global norm, clipping, AdamW and the packed forms that follow.
  ///
  /// Nothing is written before the check has passed.
  mutating func planUpdate() {
    let region = plan.bytes(of: .gradients)
    let gradients = alias(.gradients, offset: 0, bytes: region, label: "all gradients")
    let count = region / 4
    let chunks = Kernel.squaredNormChunks(count)
    let partials = addTemporary(bytes: 8 * chunks, label: "squared norms")
    var calls = [
      KernelCall(
        kernel: .squaredNorm,
        arguments: [.buffer(gradients, .read), .buffer(partials, .write), .integer(count)],
        flops: 0, bytes: Double(region), nodes: []),
      KernelCall(
        kernel: .clip, arguments: [.buffer(partials, .update), .integer(chunks)], flops: 0,
        bytes: Double(8 * chunks), nodes: []),
    ]
    for parameter in plan.parameters {
      guard let gradient = parameter.gradient else { continue }
      let state = state(of: parameter, gradient, after: partials)
      if isWholePanels(parameter) {
        calls.append(adamWPacked(parameter, state))
      } else {
        calls.append(adamW(parameter, state))
        calls += packCalls(of: parameter)
      }
    }
    finish(Entry(name: "update", calls: calls, inputs: [], outputs: []))
  }

  /// `true` iff the parameter has packed forms and is a matrix of whole panels both ways.
  private func isWholePanels(_ parameter: ParameterPlacement) -> Bool {
    let shape = parameter.declaration.shape
    return (parameter.forward != nil || parameter.backward != nil)
      && shape.allSatisfy { $0.isMultiple(of: plan.tile.columns) }
  }

  private func adamW(_ parameter: ParameterPlacement, _ state: [KernelArgument]) -> KernelCall {
    let bytes = plan[parameter.master].bytes
    return KernelCall(
      kernel: .adamW,
      arguments: state + [
        .integer(bytes / 4), .integer(parameter.declaration.decays ? 1 : 0),
      ], flops: 0, bytes: 7 * Double(bytes), nodes: [])
  }

  private func adamWPacked(
    _ parameter: ParameterPlacement, _ state: [KernelArgument]
  ) -> KernelCall {
    let declaration = parameter.declaration
    let forms = [parameter.forward, parameter.backward].compactMap { $0 }
    return KernelCall(
      kernel: .adamWPacked(forward: parameter.forward != nil, backward: parameter.backward != nil),
      arguments: state + forms.map { .buffer($0, .write) } + [
        .integer(declaration.shape[0]), .integer(declaration.shape[1]),
        .integer(declaration.tensorCount), .integer(declaration.decays ? 1 : 0),
      ], flops: 0,
      bytes: 7 * Double(plan[parameter.master].bytes)
        + forms.reduce(0) { $0 + Double(plan[$1].bytes) }, nodes: [])
  }

  /// Returns what AdamW reads and writes of a parameter.
  private mutating func state(
    of parameter: ParameterPlacement, _ gradient: BufferID, after partials: BufferID
  ) -> [KernelArgument] {
    let master = plan[parameter.master]
    let moments = [Region.firstMoments, .secondMoments].map { region in
      alias(region, offset: master.offset, bytes: master.bytes, label: master.label)
    }
    return [
      .buffer(parameter.master, .update), .buffer(gradient, .read),
      .buffer(moments[0], .update), .buffer(moments[1], .update), .buffer(partials, .read),
    ]
  }

  private func packCalls(of parameter: ParameterPlacement) -> [KernelCall] {
    [(Kernel.packForward, parameter.forward), (.packBackward, parameter.backward)].compactMap {
      kernel, form in
      form.map { pack(parameter, kernel, into: $0) }
    }
  }

  private func pack(
    _ parameter: ParameterPlacement, _ kernel: Kernel, into form: BufferID
  ) -> KernelCall {
    let shape = parameter.declaration.shape
    return KernelCall(
      kernel: kernel,
      arguments: [
        .buffer(parameter.master, .read), .buffer(form, .write), .integer(shape[0]),
        .integer(shape[1]), .integer(parameter.declaration.tensorCount),
      ], flops: 0, bytes: Double(plan[parameter.master].bytes + plan[form].bytes), nodes: [])
  }
}
