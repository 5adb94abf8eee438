public import MoTIR

// Parameters and gradients of a compiled model, as files hold them: one tensor a group.
extension CompiledModel {
  /// Fills the parameters from the tensors of a file, in the module's order, and packs them.
  ///
  /// - Requires: names and shapes are those of `expectedTensors`.
  /// - Throws: `Diagnostic` if elements are not F32, BF16 or F16.
  package func load(_ tensors: [Tensor]) throws(Diagnostic) {
    var rest = tensors[...]
    for placement in plan.parameters {
      let master = floats(placement.master)
      var first = 0
      for name in placement.declaration.tensorNames {
        guard let tensor = rest.popFirst() else { preconditionFailure("no tensor \(name)") }
        precondition(tensor.name == name, "tensor \(tensor.name) stands where \(name) should")
        let part = UnsafeMutableBufferPointer(rebasing: master[first..<(first + tensor.count)])
        try tensor.copyFloats(to: part)
        first += tensor.count
      }
    }
    run("pack")
  }

  /// Gives every parameter its initial values, which depend on the seed and its name alone.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  public func initialize(_ module: Module, seed: UInt64) throws {
    try load(ParameterInitializer(seed: seed).tensors(of: module))
  }

  /// Returns the parameters as they are now.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func parameterTensors(of module: Module) throws -> [Tensor] {
    try plan.parameters.flatMap { placement in
      try module.tensors(of: [grouped(placement.declaration.name, placement.master)])
    }
  }

  /// Returns the gradients that the last run left, each called `grad.` and its parameter's name.
  ///
  /// - Throws: `Diagnostic` if memory is short.
  package func gradientTensors(of module: Module) throws -> [Tensor] {
    try plan.parameters.flatMap { placement in
      try module.tensors(
        of: [grouped(placement.declaration.name, placement.gradient)],
        prefix: Graph.Output.gradientPrefix)
    }
  }

  private func grouped(_ name: String, _ buffer: BufferID) -> GroupedParameter {
    GroupedParameter(name: name, values: Array(floats(buffer)))
  }
}
