internal import MoTIR

extension PlanBuilder {
  /// Plans `pack`: every packed form from the master copies, after loading.
  mutating func planPack() {
    let calls = plan.parameters.flatMap { packCalls(of: $0) }
    finish(Entry(name: "pack", calls: calls, inputs: [], outputs: []))
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
    // A parameter is packed while it is still in cache.
    for parameter in plan.parameters {
      calls.append(adamW(parameter, after: partials))
      calls += packCalls(of: parameter)
    }
    finish(Entry(name: "update", calls: calls, inputs: [], outputs: []))
  }

  private mutating func adamW(_ parameter: ParameterPlacement, after partials: BufferID)
    -> KernelCall
  {
    let master = plan[parameter.master]
    let moments = [Region.firstMoments, .secondMoments].map { region in
      alias(region, offset: master.offset, bytes: master.bytes, label: master.label)
    }
    return KernelCall(
      kernel: .adamW,
      arguments: [
        .buffer(parameter.master, .update), .buffer(parameter.gradient, .read),
        .buffer(moments[0], .update), .buffer(moments[1], .update),
        .buffer(partials, .read), .integer(master.bytes / 4),
        .integer(parameter.declaration.decays ? 1 : 0),
      ], flops: 0, bytes: 7 * Double(master.bytes), nodes: [])
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
        .integer(shape[1]), .integer(parameter.declaration.groups?.count ?? 1),
      ], flops: 0, bytes: Double(plan[parameter.master].bytes + plan[form].bytes), nodes: [])
  }
}
